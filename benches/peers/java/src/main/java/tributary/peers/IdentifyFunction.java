package tributary.peers;

import org.apache.flink.api.common.functions.OpenContext;
import org.apache.flink.api.common.state.ValueState;
import org.apache.flink.api.common.state.ValueStateDescriptor;
import org.apache.flink.api.common.typeinfo.Types;
import org.apache.flink.streaming.api.functions.KeyedProcessFunction;
import org.apache.flink.util.Collector;

/** Flink's first step: whose event it is. In come events by device, out go the same ones with their customer. */
final class IdentifyFunction extends KeyedProcessFunction<String, Event, Event> {
    private static final long serialVersionUID = 1;

    private transient ValueState<String> known;

    @Override
    public void open(OpenContext context) {
        known = getRuntimeContext().getState(new ValueStateDescriptor<>("customer", Types.STRING));
    }

    @Override
    public void processElement(Event event, Context context, Collector<Event> out) throws Exception {
        String customer = known.value();
        if (event.customer != null) {
            if (customer == null) {
                known.update(event.customer);
            }
        } else {
            event.customer = customer == null ? event.device : customer;
        }
        event.device = null;
        out.collect(event);
    }
}
