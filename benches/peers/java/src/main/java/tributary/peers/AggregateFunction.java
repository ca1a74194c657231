package tributary.peers;

import java.io.BufferedWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import org.apache.flink.api.common.functions.OpenContext;
import org.apache.flink.api.common.state.ValueState;
import org.apache.flink.api.common.state.ValueStateDescriptor;
import org.apache.flink.api.common.typeinfo.PrimitiveArrayTypeInfo;
import org.apache.flink.streaming.api.functions.co.KeyedBroadcastProcessFunction;
import org.apache.flink.util.Collector;

/**
 * Flink's second step: aggregates and segments of customers, with a timer each, and triggers. What is broadcast to it are
 * paths: all members are written there, by each subtask its own.
 */
final class AggregateFunction extends KeyedBroadcastProcessFunction<String, Event, String, Trigger> {
    private static final long serialVersionUID = 1;
    private static final ValueStateDescriptor<byte[]> STATE =
            new ValueStateDescriptor<>("customer", PrimitiveArrayTypeInfo.BYTE_PRIMITIVE_ARRAY_TYPE_INFO);

    private transient ValueState<byte[]> state;
    private transient Customer customer;

    @Override
    public void open(OpenContext context) {
        state = getRuntimeContext().getState(STATE);
        customer = new Customer();
        FlinkMembers.opened();
    }

    @Override
    public void processElement(Event event, ReadOnlyContext context, Collector<Trigger> out) throws Exception {
        customer.decode(state.value());
        long due = customer.due();
        customer.apply(event);
        update(System.currentTimeMillis(), due, context);
        if (event.kind == Event.PROBE) {
            out.collect(new Trigger(event, context.getCurrentKey(), customer));
        }
    }

    @Override
    public void onTimer(long timestamp, OnTimerContext context, Collector<Trigger> out) throws Exception {
        customer.decode(state.value());
        // The timer that has gone off is none any more.
        update(Math.max(timestamp, System.currentTimeMillis()), Long.MAX_VALUE, context);
    }

    @Override
    public void processBroadcastElement(String path, Context context, Collector<Trigger> out) throws Exception {
        int subtask = getRuntimeContext().getTaskInfo().getIndexOfThisSubtask();
        try (BufferedWriter lines = Files.newBufferedWriter(FlinkMembers.part(Path.of(path), subtask))) {
            context.applyToKeyedState(STATE, (key, held) -> {
                lines.write(key);
                lines.write("\t" + Customer.segments(held.value()) + "\n");
            });
        }
        FlinkMembers.written(Path.of(path));
    }

    /** Evaluates the customer and stores it, and its timer if that has changed. */
    private void update(long now, long dueBefore, ReadOnlyContext context) throws Exception {
        customer.evaluate(now);
        state.update(customer.encode());
        long due = customer.due();
        if (due == dueBefore) {
            return;
        }
        if (dueBefore != Long.MAX_VALUE) {
            context.timerService().deleteProcessingTimeTimer(dueBefore);
        }
        if (due != Long.MAX_VALUE) {
            context.timerService().registerProcessingTimeTimer(due);
        }
    }
}
