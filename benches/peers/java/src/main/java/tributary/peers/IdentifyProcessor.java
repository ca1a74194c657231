package tributary.peers;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import org.apache.kafka.streams.processor.api.Processor;
import org.apache.kafka.streams.processor.api.ProcessorContext;
import org.apache.kafka.streams.processor.api.Record;
import org.apache.kafka.streams.state.KeyValueStore;

/** Kafka Streams' first step: whose event it is. In come JSON events by device, out go compact ones by customer. */
final class IdentifyProcessor implements Processor<byte[], byte[], byte[], byte[]> {
    static final String DEVICES = "devices";

    private final EventParser parser = new EventParser();
    private final Event event = new Event();
    private final Bytes bytes = new Bytes(32);
    private ProcessorContext<byte[], byte[]> context;
    private KeyValueStore<byte[], byte[]> devices;

    @Override
    public void init(ProcessorContext<byte[], byte[]> context) {
        this.context = context;
        devices = context.getStateStore(DEVICES);
    }

    @Override
    public void process(Record<byte[], byte[]> record) {
        try {
            parser.parse(record.value(), event);
        } catch (IOException error) {
            throw new UncheckedIOException(error);
        }
        bytes.clear();
        event.encode(bytes);
        context.forward(new Record<>(customer(record.key()), bytes.copy(), record.timestamp()));
    }

    private byte[] customer(byte[] device) {
        byte[] known = devices.get(device);
        if (event.customer == null) {
            return known == null ? device : known;
        }
        byte[] customer = event.customer.getBytes(StandardCharsets.UTF_8);
        if (known == null) {
            devices.put(device, customer);
        }
        return customer;
    }
}
