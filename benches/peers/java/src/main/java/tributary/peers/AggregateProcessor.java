package tributary.peers;

import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.apache.kafka.streams.processor.PunctuationType;
import org.apache.kafka.streams.processor.api.Processor;
import org.apache.kafka.streams.processor.api.ProcessorContext;
import org.apache.kafka.streams.processor.api.Record;
import org.apache.kafka.streams.state.KeyValueIterator;
import org.apache.kafka.streams.state.KeyValueStore;

/**
 * Kafka Streams' second step: aggregates and segments of customers, and triggers. A second store holds when each customer
 * has to be looked at again, ordered by that time, since Kafka Streams has no timers of keys.
 */
final class AggregateProcessor implements Processor<byte[], byte[], byte[], byte[]> {
    static final String CUSTOMERS = "customers";
    static final String TIMERS = "timers";
    private static final Duration TICK = Duration.ofSeconds(1);
    private static final byte[] NOTHING = {};

    private final Event event = new Event();
    private final Customer customer = new Customer();
    private final Bytes reader = new Bytes(0);
    private ProcessorContext<byte[], byte[]> context;
    private KeyValueStore<byte[], byte[]> customers;
    private KeyValueStore<byte[], byte[]> timers;
    /** Timers up to then have gone off; the clock does not go behind it. */
    private long passed;

    @Override
    public void init(ProcessorContext<byte[], byte[]> context) {
        this.context = context;
        customers = context.getStateStore(CUSTOMERS);
        timers = context.getStateStore(TIMERS);
        context.schedule(TICK, PunctuationType.WALL_CLOCK_TIME, now -> tick());
    }

    @Override
    public void process(Record<byte[], byte[]> record) {
        byte[] key = record.key();
        reader.wrap(record.value(), 0);
        event.decode(reader);
        customer.decode(customers.get(key));
        long due = customer.due();
        customer.apply(event);
        update(key, due);
        if (event.kind == Event.PROBE) {
            Trigger trigger = new Trigger(event, new String(key, StandardCharsets.UTF_8), customer);
            context.forward(new Record<>(key, trigger.json(), record.timestamp()));
        }
    }

    private void tick() {
        long now = now();
        List<byte[]> due = new ArrayList<>();
        try (KeyValueIterator<byte[], byte[]> until = timers.range(timer(passed, NOTHING), timer(now + 1, NOTHING))) {
            until.forEachRemaining(timer -> due.add(timer.key));
        }
        for (byte[] timer : due) {
            byte[] key = Arrays.copyOfRange(timer, Long.BYTES, timer.length);
            customer.decode(customers.get(key));
            update(key, customer.due());
        }
        passed = now;
    }

    /** Evaluates the customer and stores it, and its timer if that has changed. */
    private void update(byte[] key, long dueBefore) {
        customer.evaluate(now());
        customers.put(key, customer.encode());
        long due = customer.due();
        if (due == dueBefore) {
            return;
        }
        if (dueBefore != Long.MAX_VALUE) {
            timers.delete(timer(dueBefore, key));
        }
        if (due != Long.MAX_VALUE) {
            timers.put(timer(due, key), NOTHING);
        }
    }

    private long now() {
        return Math.max(System.currentTimeMillis(), passed);
    }

    private static byte[] timer(long due, byte[] key) {
        return ByteBuffer.allocate(Long.BYTES + key.length).putLong(due).put(key).array();
    }
}
