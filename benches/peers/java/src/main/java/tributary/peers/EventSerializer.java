package tributary.peers;

import java.io.IOException;
import org.apache.flink.api.common.typeutils.SimpleTypeSerializerSnapshot;
import org.apache.flink.api.common.typeutils.TypeSerializerSnapshot;
import org.apache.flink.api.common.typeutils.base.TypeSerializerSingleton;
import org.apache.flink.core.memory.DataInputView;
import org.apache.flink.core.memory.DataOutputView;
import org.apache.flink.types.StringValue;

/** How events go from step to step in Flink: only the fields that their kind has, and no reflection. */
public final class EventSerializer extends TypeSerializerSingleton<Event> {
    static final EventSerializer INSTANCE = new EventSerializer();
    private static final long serialVersionUID = 1;

    @Override
    public boolean isImmutableType() {
        return false;
    }

    @Override
    public Event createInstance() {
        return new Event();
    }

    @Override
    public Event copy(Event from) {
        return copy(from, new Event());
    }

    @Override
    public Event copy(Event from, Event reuse) {
        from.copyTo(reuse);
        return reuse;
    }

    @Override
    public int getLength() {
        return -1;
    }

    @Override
    public void serialize(Event event, DataOutputView target) throws IOException {
        target.writeByte(event.kind);
        target.writeLong(event.at);
        if (event.kind == Event.ORDER) {
            target.writeDouble(event.total);
        } else if (event.kind == Event.PROBE) {
            target.writeLong(event.probe);
        }
        StringValue.writeString(event.device, target);
        StringValue.writeString(event.customer, target);
    }

    @Override
    public Event deserialize(DataInputView source) throws IOException {
        return deserialize(new Event(), source);
    }

    @Override
    public Event deserialize(Event reuse, DataInputView source) throws IOException {
        reuse.clear();
        reuse.kind = source.readByte();
        reuse.at = source.readLong();
        if (reuse.kind == Event.ORDER) {
            reuse.total = source.readDouble();
        } else if (reuse.kind == Event.PROBE) {
            reuse.probe = source.readLong();
        }
        reuse.device = StringValue.readString(source);
        reuse.customer = StringValue.readString(source);
        return reuse;
    }

    @Override
    public void copy(DataInputView source, DataOutputView target) throws IOException {
        serialize(deserialize(source), target);
    }

    @Override
    public TypeSerializerSnapshot<Event> snapshotConfiguration() {
        return new Snapshot();
    }

    /** Says that there is but one version. */
    public static final class Snapshot extends SimpleTypeSerializerSnapshot<Event> {
        public Snapshot() {
            super(() -> INSTANCE);
        }
    }
}
