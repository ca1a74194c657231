package tributary.peers;

/** The twenty segments, in the order of `benches/support/definitions.yaml`. */
final class Segments {
    private Segments() {}

    /** One bit each. */
    static int of(Customer customer) {
        double views1d = customer.views1d.sum();
        double views7d = customer.views7d.sum();
        double orders30d = customer.orders30d.sum();
        double spent7d = customer.spent7d.sum();
        return bit(0, customer.orders >= 1)
                | bit(1, customer.orders >= 3)
                | bit(2, customer.orders >= 10)
                | bit(3, customer.ltv > 500)
                | bit(4, customer.ltv > 5000)
                | bit(5, customer.largest > 400)
                | bit(6, customer.largest > 550)
                | bit(7, customer.lastCheckoutAt > customer.lastOrderAt)
                | bit(8, customer.views >= 5 && customer.orders == 0)
                | bit(9, customer.views >= 20)
                | bit(10, views1d >= 2)
                | bit(11, views1d >= 5)
                | bit(12, views7d >= 5)
                | bit(13, views7d >= 20)
                | bit(14, orders30d >= 1)
                | bit(15, orders30d >= 3)
                | bit(16, spent7d > 300)
                | bit(17, spent7d > 1000)
                | bit(18, customer.orders >= 1 && views7d >= 1)
                | bit(19, customer.orders >= 1 && views7d == 0 && orders30d == 0);
    }

    private static int bit(int place, boolean isIn) {
        return isIn ? 1 << place : 0;
    }
}
