package tributary.peers;

import java.util.HashMap;
import java.util.Map;

/** The command line, which is the same for all peers: options with two dashes, each with a value. */
final class Arguments {
    private final Map<String, String> values = new HashMap<>();

    Arguments(String[] arguments) {
        if (arguments.length % 2 != 0) {
            throw new IllegalArgumentException("each option has one value");
        }
        for (int at = 0; at < arguments.length; at += 2) {
            if (!arguments[at].startsWith("--")) {
                throw new IllegalArgumentException("no option: " + arguments[at]);
            }
            values.put(arguments[at].substring(2), arguments[at + 1]);
        }
    }

    String bootstrapServers() {
        return required("bootstrap-servers");
    }

    String input() {
        return required("input");
    }

    String output() {
        return required("output");
    }

    String state() {
        return required("state");
    }

    String group() {
        return required("group");
    }

    long checkpointMillis() {
        return Long.parseLong(values.getOrDefault("checkpoint-ms", "100"));
    }

    private String required(String name) {
        String value = values.get(name);
        if (value == null) {
            throw new IllegalArgumentException("--" + name + " is missing");
        }
        return value;
    }
}
