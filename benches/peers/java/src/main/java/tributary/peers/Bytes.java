package tributary.peers;

import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;
import java.nio.ByteOrder;
import java.util.Arrays;

/** Bytes with a place in them, to read from or to write to: small numbers take few bytes. */
final class Bytes {
    private static final VarHandle INT = MethodHandles.byteArrayViewVarHandle(int[].class, ByteOrder.BIG_ENDIAN);
    private static final VarHandle LONG = MethodHandles.byteArrayViewVarHandle(long[].class, ByteOrder.BIG_ENDIAN);

    private byte[] array;
    private int place;

    Bytes(int capacity) {
        array = new byte[capacity];
    }

    /** Reads from somebody else's bytes, which are not changed. */
    void wrap(byte[] bytes, int from) {
        array = bytes;
        place = from;
    }

    /** Writes from the beginning again. */
    void clear() {
        place = 0;
    }

    byte[] array() {
        return array;
    }

    int place() {
        return place;
    }

    void skip(int bytes) {
        place += bytes;
    }

    byte[] copy() {
        return Arrays.copyOf(array, place);
    }

    void putByte(int value) {
        reserve(1);
        array[place++] = (byte) value;
    }

    void putInt(int value) {
        reserve(4);
        INT.set(array, place, value);
        place += 4;
    }

    void putLong(long value) {
        reserve(8);
        LONG.set(array, place, value);
        place += 8;
    }

    void putDouble(double value) {
        putLong(Double.doubleToRawLongBits(value));
    }

    /** Seven bits a byte, the lowest first. */
    void putVar(long value) {
        reserve(10);
        while ((value & ~0x7fL) != 0) {
            array[place++] = (byte) (value | 0x80);
            value >>>= 7;
        }
        array[place++] = (byte) value;
    }

    void put(byte[] bytes, int from, int length) {
        reserve(length);
        System.arraycopy(bytes, from, array, place, length);
        place += length;
    }

    byte getByte() {
        return array[place++];
    }

    int getInt() {
        int value = (int) INT.get(array, place);
        place += 4;
        return value;
    }

    long getLong() {
        long value = (long) LONG.get(array, place);
        place += 8;
        return value;
    }

    double getDouble() {
        return Double.longBitsToDouble(getLong());
    }

    long getVar() {
        byte next = array[place++];
        long value = next & 0x7f;
        for (int shift = 7; next < 0; shift += 7) {
            next = array[place++];
            value |= (next & 0x7fL) << shift;
        }
        return value;
    }

    private void reserve(int bytes) {
        if (array.length - place < bytes) {
            array = Arrays.copyOf(array, Math.max(array.length * 2, place + bytes));
        }
    }
}
