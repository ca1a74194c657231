package tributary.peers;

/**
 * What the job needs of an event. One object is filled again and again, and its compact binary form goes from the
 * devices' side to the customers', so that JSON is parsed once.
 */
public final class Event {
    static final byte OTHER = 0;
    static final byte VIEW = 1;
    static final byte ORDER = 2;
    static final byte CHECKOUT = 3;
    static final byte PROBE = 4;

    byte kind;
    /** Milliseconds since 1970. */
    long at;
    /** What an order amounts to. */
    double total;
    /** The number of a probe. */
    long probe;
    /** Null where it is not needed any more. */
    String device;
    /** Who the event belongs to; null where it does not say so itself. */
    String customer;

    void clear() {
        kind = OTHER;
        at = 0;
        total = 0;
        probe = 0;
        device = null;
        customer = null;
    }

    void copyTo(Event other) {
        other.kind = kind;
        other.at = at;
        other.total = total;
        other.probe = probe;
        other.device = device;
        other.customer = customer;
    }

    /** All but the identifiers. */
    void encode(Bytes bytes) {
        bytes.putByte(kind);
        bytes.putLong(at);
        if (kind == ORDER) {
            bytes.putDouble(total);
        } else if (kind == PROBE) {
            bytes.putLong(probe);
        }
    }

    void decode(Bytes bytes) {
        clear();
        kind = bytes.getByte();
        at = bytes.getLong();
        if (kind == ORDER) {
            total = bytes.getDouble();
        } else if (kind == PROBE) {
            probe = bytes.getLong();
        }
    }
}
