package tributary.peers;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonToken;
import com.fasterxml.jackson.core.StreamReadFeature;
import java.io.IOException;

/** Reads an event's JSON as a stream of tokens, and passes over all that the job does not need. */
final class EventParser {
    private static final int DAYS_UNTIL_1970 = 719_468;

    private final JsonFactory factory =
            JsonFactory.builder().enable(StreamReadFeature.USE_FAST_DOUBLE_PARSER).build();

    void parse(byte[] json, Event event) throws IOException {
        event.clear();
        try (JsonParser parser = factory.createParser(json)) {
            parser.nextToken();
            for (String field = parser.nextFieldName(); field != null; field = parser.nextFieldName()) {
                JsonToken token = parser.nextToken();
                switch (field) {
                    case "timestamp" -> event.at = millis(parser.getTextCharacters(), parser.getTextOffset());
                    case "userId" -> event.customer = parser.getValueAsString();
                    case "anonymousId" -> event.device = parser.getValueAsString();
                    case "event" -> event.kind = kind(parser.getText());
                    case "properties" -> properties(parser, token, event);
                    default -> parser.skipChildren();
                }
            }
        }
    }

    private static void properties(JsonParser parser, JsonToken token, Event event) throws IOException {
        if (token != JsonToken.START_OBJECT) {
            parser.skipChildren();
            return;
        }
        for (String field = parser.nextFieldName(); field != null; field = parser.nextFieldName()) {
            JsonToken value = parser.nextToken();
            if (field.equals("total") && value.isNumeric()) {
                event.total = parser.getDoubleValue();
            } else if (field.equals("probe") && value.isNumeric()) {
                event.probe = parser.getLongValue();
            } else {
                parser.skipChildren();
            }
        }
    }

    private static byte kind(String name) {
        return switch (name) {
            case "Product Viewed" -> Event.VIEW;
            case "Order Completed" -> Event.ORDER;
            case "Checkout Started" -> Event.CHECKOUT;
            case "Probe" -> Event.PROBE;
            default -> Event.OTHER;
        };
    }

    /** Of `2026-01-31T23:59:59.999Z`, by the calendar that counts years from March on. */
    private static long millis(char[] text, int from) {
        int month = number(text, from + 5, 2);
        int year = number(text, from, 4) - (month <= 2 ? 1 : 0);
        int dayOfYear = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + number(text, from + 8, 2) - 1;
        int days = year * 365 + year / 4 - year / 100 + year / 400 + dayOfYear - DAYS_UNTIL_1970;
        int seconds = (number(text, from + 11, 2) * 60 + number(text, from + 14, 2)) * 60 + number(text, from + 17, 2);
        return (days * 86_400L + seconds) * 1000 + number(text, from + 20, 3);
    }

    private static int number(char[] text, int from, int digits) {
        int value = 0;
        for (int at = from; at < from + digits; at++) {
            value = value * 10 + text[at] - '0';
        }
        return value;
    }
}
