package bench;

import com.fasterxml.jackson.annotation.JsonIgnoreProperties;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.ObjectReader;
import com.fasterxml.jackson.databind.ObjectWriter;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.apache.kafka.streams.processor.api.Processor;
import org.apache.kafka.streams.processor.api.ProcessorContext;
import org.apache.kafka.streams.processor.api.Record;
import org.apache.kafka.streams.state.KeyValueStore;

/** The work that every contender does, on Kafka Streams' own store: the same steps as apply() in work.py. */
final class Apply implements Processor<String, byte[], String, byte[]> {
    static final String STORE = "state";
    private static final int KEPT = 64;
    private static final ObjectMapper JSON = new ObjectMapper();
    private static final ObjectReader ARRIVALS = JSON.readerFor(Arrival.class);
    private static final ObjectReader STATES = JSON.readerFor(State.class);
    private static final ObjectWriter WRITER = JSON.writer();

    @JsonIgnoreProperties(ignoreUnknown = true)
    record Arrival(Change change) {}

    @JsonIgnoreProperties(ignoreUnknown = true)
    record Change(String change_id, String version, String changed_at, Map<String, Object> fields) {}

    record State(List<String> ids, Map<String, Object[]> fields) {}

    record Event(String id, String key, String version, Map<String, Object[]> changed) {}

    private final Meter meter;
    private ProcessorContext<String, byte[]> context;
    private KeyValueStore<String, byte[]> store;

    Apply(Meter meter) {
        this.meter = meter;
    }

    @Override
    public void init(ProcessorContext<String, byte[]> context) {
        this.context = context;
        this.store = context.getStateStore(STORE);
    }

    @Override
    public void process(Record<String, byte[]> record) {
        try {
            Event event = one(record.key(), record.value());
            if (event != null) {
                context.forward(record.withValue(WRITER.writeValueAsBytes(event)));
            }
            meter.processed(event != null);
        } catch (IOException error) {
            throw new UncheckedIOException(error);
        }
    }

    private Event one(String key, byte[] value) throws IOException {
        Arrival arrival = ARRIVALS.readValue(value);
        byte[] held = store.get(key);
        State state = held == null ? new State(new ArrayList<>(), new HashMap<>()) : STATES.readValue(held);
        Event event = apply(state, key, arrival.change());
        if (event != null) {
            store.put(key, WRITER.writeValueAsBytes(state));
        }
        return event;
    }

    private static Event apply(State state, String key, Change change) {
        String id = change.change_id();
        if (state.ids().contains(id)) {
            return null;
        }
        state.ids().add(id);
        if (state.ids().size() > KEPT) {
            state.ids().remove(0);
        }
        return new Event(id, key, change.version(), newer(state.fields(), change));
    }

    private static Map<String, Object[]> newer(Map<String, Object[]> held, Change change) {
        Map<String, Object[]> changed = new LinkedHashMap<>();
        change.fields().forEach((name, value) -> {
            Object[] was = held.get(name);
            if (was == null || change.version().compareTo((String) was[1]) > 0) {
                changed.put(name, new Object[] {value, was == null ? null : was[0], change.change_id()});
                held.put(name, new Object[] {value, change.version(), change.changed_at(), change.change_id()});
            }
        });
        return changed;
    }
}
