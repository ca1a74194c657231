package tributary.peers;

import java.util.Arrays;

/**
 * A sliding window of a customer: amounts by bucket of time, oldest first, and their sum. The buckets stay in their binary
 * form until one has to be changed, since most events change none or two of the four windows.
 */
final class Window {
    private final long granule;
    private final long length;
    /** Whether amounts are whole numbers. */
    private final boolean counts;

    private int size;
    private long oldest;
    private double sum;

    private boolean decoded;
    private byte[] encoded;
    private int encodedFrom;
    private int encodedLength;
    private final Bytes reader = new Bytes(0);

    private int first;
    private long[] buckets = new long[16];
    private double[] amounts = new double[16];

    Window(long granule, long length, boolean counts) {
        this.granule = granule;
        this.length = length;
        this.counts = counts;
    }

    double sum() {
        return sum;
    }

    /** When the oldest bucket leaves. */
    long due() {
        return size == 0 ? Long.MAX_VALUE : leaves(oldest);
    }

    void clear() {
        size = 0;
        sum = 0;
        first = 0;
        decoded = true;
    }

    void add(long at, double amount) {
        open();
        long bucket = Math.floorDiv(at, granule);
        sum += amount;
        int end = first + size;
        int place = size > 0 && buckets[end - 1] < bucket ? -end - 1 : Arrays.binarySearch(buckets, first, end, bucket);
        if (place >= 0) {
            amounts[place] += amount;
            return;
        }
        insert(-place - 1, bucket, amount);
        oldest = buckets[first];
    }

    /** Lets go what has left the window. */
    void slide(long now) {
        if (due() > now) {
            return;
        }
        open();
        while (size > 0 && leaves(buckets[first]) <= now) {
            sum -= amounts[first];
            first++;
            size--;
        }
        if (size == 0) {
            // What rounding has left.
            sum = 0;
        } else {
            oldest = buckets[first];
        }
    }

    void decode(Bytes from) {
        size = (int) from.getVar();
        if (size == 0) {
            clear();
            return;
        }
        oldest = from.getVar();
        sum = getAmount(from);
        encodedLength = (int) from.getVar();
        encoded = from.array();
        encodedFrom = from.place();
        from.skip(encodedLength);
        decoded = false;
    }

    /** `scratch` is overwritten. */
    void encode(Bytes to, Bytes scratch) {
        to.putVar(size);
        if (size == 0) {
            return;
        }
        to.putVar(oldest);
        putAmount(to, sum);
        if (!decoded) {
            to.putVar(encodedLength);
            to.put(encoded, encodedFrom, encodedLength);
            return;
        }
        scratch.clear();
        long before = oldest;
        for (int at = first; at < first + size; at++) {
            scratch.putVar(buckets[at] - before);
            putAmount(scratch, amounts[at]);
            before = buckets[at];
        }
        to.putVar(scratch.place());
        to.put(scratch.array(), 0, scratch.place());
    }

    private long leaves(long bucket) {
        return (bucket + 1) * granule + length;
    }

    private void open() {
        if (decoded) {
            return;
        }
        first = 0;
        grow(size);
        reader.wrap(encoded, encodedFrom);
        long bucket = oldest;
        for (int at = 0; at < size; at++) {
            bucket += reader.getVar();
            buckets[at] = bucket;
            amounts[at] = getAmount(reader);
        }
        decoded = true;
    }

    private void insert(int place, long bucket, double amount) {
        int end = first + size;
        grow(end + 1);
        System.arraycopy(buckets, place, buckets, place + 1, end - place);
        System.arraycopy(amounts, place, amounts, place + 1, end - place);
        buckets[place] = bucket;
        amounts[place] = amount;
        size++;
    }

    private void grow(int atLeast) {
        if (buckets.length < atLeast) {
            buckets = Arrays.copyOf(buckets, atLeast * 2);
            amounts = Arrays.copyOf(amounts, atLeast * 2);
        }
    }

    private double getAmount(Bytes from) {
        return counts ? from.getVar() : from.getDouble();
    }

    private void putAmount(Bytes to, double amount) {
        if (counts) {
            to.putVar((long) amount);
        } else {
            to.putDouble(amount);
        }
    }
}
