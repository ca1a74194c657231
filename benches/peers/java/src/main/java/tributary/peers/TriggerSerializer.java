package tributary.peers;

import java.util.List;
import java.util.Optional;
import org.apache.flink.connector.kafka.lineage.DefaultKafkaDatasetFacet;
import org.apache.flink.connector.kafka.lineage.DefaultKafkaDatasetIdentifier;
import org.apache.flink.connector.kafka.lineage.KafkaDatasetFacet;
import org.apache.flink.connector.kafka.lineage.KafkaDatasetFacetProvider;
import org.apache.flink.connector.kafka.sink.KafkaRecordSerializationSchema;
import org.apache.kafka.clients.producer.ProducerRecord;

/** Makes records of triggers in Flink's sink, which asks for the topic as well: to find transactions left open in it. */
final class TriggerSerializer implements KafkaRecordSerializationSchema<Trigger>, KafkaDatasetFacetProvider {
    private static final long serialVersionUID = 1;

    private final String topic;

    TriggerSerializer(String topic) {
        this.topic = topic;
    }

    @Override
    public ProducerRecord<byte[], byte[]> serialize(Trigger trigger, KafkaSinkContext context, Long timestamp) {
        return new ProducerRecord<>(topic, trigger.key(), trigger.json());
    }

    @Override
    public Optional<KafkaDatasetFacet> getKafkaDatasetFacet() {
        return Optional.of(
                new DefaultKafkaDatasetFacet(DefaultKafkaDatasetIdentifier.ofTopics(List.of(topic))));
    }
}
