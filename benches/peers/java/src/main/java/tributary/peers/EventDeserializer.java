package tributary.peers;

import java.io.IOException;
import org.apache.flink.api.common.serialization.DeserializationSchema;
import org.apache.flink.api.common.typeinfo.TypeInformation;
import org.apache.flink.connector.kafka.source.reader.deserializer.KafkaRecordDeserializationSchema;
import org.apache.flink.util.Collector;
import org.apache.kafka.clients.consumer.ConsumerRecord;

/** Parses records in Flink's source, into one event: it is serialised for the next step before the next is parsed. */
final class EventDeserializer implements KafkaRecordDeserializationSchema<Event> {
    private static final long serialVersionUID = 1;

    private transient EventParser parser;
    private transient Event event;

    @Override
    public void open(DeserializationSchema.InitializationContext context) {
        parser = new EventParser();
        event = new Event();
    }

    @Override
    public void deserialize(ConsumerRecord<byte[], byte[]> record, Collector<Event> out) throws IOException {
        parser.parse(record.value(), event);
        out.collect(event);
    }

    @Override
    public TypeInformation<Event> getProducedType() {
        return EventType.INSTANCE;
    }
}
