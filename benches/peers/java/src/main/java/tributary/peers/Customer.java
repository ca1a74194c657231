package tributary.peers;

/**
 * All that is kept of a customer: ten aggregates, four of them windowed, and the segments that follow from them. One
 * object is filled again and again from a customer's binary value, which begins with the segments.
 */
final class Customer {
    private static final long MINUTE = 60_000;
    private static final long HOUR = 60 * MINUTE;
    private static final long DAY = 24 * HOUR;

    long orders;
    double ltv;
    double largest;
    long lastOrderAt;
    long lastCheckoutAt;
    long views;
    final Window views1d = new Window(MINUTE, DAY, true);
    final Window views7d = new Window(HOUR, 7 * DAY, true);
    final Window orders30d = new Window(HOUR, 30 * DAY, true);
    final Window spent7d = new Window(HOUR, 7 * DAY, false);
    /** One bit each. */
    int segments;

    private final Bytes reader = new Bytes(0);
    private final Bytes writer = new Bytes(1024);
    private final Bytes scratch = new Bytes(1024);

    /** From a value that {@link #encode} has made, or a new one from null. */
    void decode(byte[] value) {
        if (value == null) {
            clear();
            return;
        }
        reader.wrap(value, 0);
        segments = reader.getInt();
        orders = reader.getVar();
        views = reader.getVar();
        lastOrderAt = reader.getVar();
        lastCheckoutAt = reader.getVar();
        ltv = 0;
        largest = 0;
        if (orders > 0) {
            ltv = reader.getDouble();
            largest = reader.getDouble();
        }
        views1d.decode(reader);
        views7d.decode(reader);
        orders30d.decode(reader);
        spent7d.decode(reader);
    }

    byte[] encode() {
        writer.clear();
        writer.putInt(segments);
        writer.putVar(orders);
        writer.putVar(views);
        writer.putVar(lastOrderAt);
        writer.putVar(lastCheckoutAt);
        if (orders > 0) {
            writer.putDouble(ltv);
            writer.putDouble(largest);
        }
        views1d.encode(writer, scratch);
        views7d.encode(writer, scratch);
        orders30d.encode(writer, scratch);
        spent7d.encode(writer, scratch);
        return writer.copy();
    }

    /** The segments in a binary value. */
    static int segments(byte[] value) {
        Bytes bytes = new Bytes(0);
        bytes.wrap(value, 0);
        return bytes.getInt();
    }

    void apply(Event event) {
        switch (event.kind) {
            case Event.VIEW -> {
                views++;
                views1d.add(event.at, 1);
                views7d.add(event.at, 1);
            }
            case Event.ORDER -> {
                orders++;
                ltv += event.total;
                largest = Math.max(largest, event.total);
                lastOrderAt = Math.max(lastOrderAt, event.at);
                orders30d.add(event.at, 1);
                spent7d.add(event.at, event.total);
            }
            case Event.CHECKOUT -> lastCheckoutAt = Math.max(lastCheckoutAt, event.at);
            default -> {}
        }
    }

    /** Slides the windows, and computes the segments anew. */
    void evaluate(long now) {
        views1d.slide(now);
        views7d.slide(now);
        orders30d.slide(now);
        spent7d.slide(now);
        segments = Segments.of(this);
    }

    /** When the next bucket leaves a window; the greatest number if there is none. */
    long due() {
        return Math.min(Math.min(views1d.due(), views7d.due()), Math.min(orders30d.due(), spent7d.due()));
    }

    private void clear() {
        orders = 0;
        ltv = 0;
        largest = 0;
        lastOrderAt = 0;
        lastCheckoutAt = 0;
        views = 0;
        views1d.clear();
        views7d.clear();
        orders30d.clear();
        spent7d.clear();
        segments = 0;
    }
}
