package tributary.peers;

import java.nio.charset.StandardCharsets;

/** What a probe sets off: where its customer stands after it. Public as Flink wants it of what goes from step to step. */
public final class Trigger {
    public String customer;
    public long probe;
    public long orders;
    public int segments;

    public Trigger() {}

    Trigger(Event probe, String customer, Customer state) {
        this.customer = customer;
        this.probe = probe.probe;
        orders = state.orders;
        segments = state.segments;
    }

    byte[] key() {
        return customer.getBytes(StandardCharsets.UTF_8);
    }

    byte[] json() {
        String json = "{\"probe\":" + probe + ",\"orders\":" + orders + ",\"segments\":" + segments + "}";
        return json.getBytes(StandardCharsets.UTF_8);
    }
}
