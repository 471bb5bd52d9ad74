package bench;

import java.io.IOException;
import java.time.Duration;
import java.util.HashMap;
import java.util.Map;
import java.util.Properties;
import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.clients.producer.ProducerConfig;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.Topology;
import org.apache.kafka.streams.state.Stores;

/** Kafka Streams as a contender: its defaults and lz4, at least once; reads all, prints its figures, ends. */
public final class Main {
    private Main() {}

    public static void main(String[] args) throws InterruptedException {
        endWithParent();
        Map<String, String> options = options(args);
        String topic = options.get("topic");
        String run = options.get("run");
        Meter meter = new Meter(Long.parseLong(options.get("total")), Long.parseLong(options.get("warmup")));
        Topology topology = topology(topic, topic + "-out-kafka_streams-" + run, meter);
        KafkaStreams streams = new KafkaStreams(topology, settings(options, topic + "-kafka_streams-" + run));
        streams.start();
        meter.awaitAll();
        streams.close(Duration.ofSeconds(60));
        System.out.println(meter.figures());
    }

    /** Whoever started this holds our stdin: when it ends, by whatever means, so do we. */
    private static void endWithParent() {
        Thread watch = new Thread(() -> {
            try {
                System.in.readAllBytes();
            } catch (IOException error) {
                System.err.println(error);
            }
            Runtime.getRuntime().halt(1);
        });
        watch.setDaemon(true);
        watch.start();
    }

    private static Map<String, String> options(String[] args) {
        Map<String, String> options = new HashMap<>();
        for (int at = 0; at + 1 < args.length; at += 2) {
            options.put(args[at].substring(2), args[at + 1]);
        }
        return options;
    }

    private static Topology topology(String from, String to, Meter meter) {
        var store = Stores.keyValueStoreBuilder(
                Stores.persistentKeyValueStore(Apply.STORE), Serdes.String(), Serdes.ByteArray());
        return new Topology()
                .addSource("changes", from)
                .addProcessor("apply", () -> new Apply(meter), "changes")
                .addStateStore(store, "apply")
                .addSink("events", to, "apply");
    }

    private static Properties settings(Map<String, String> options, String id) {
        Properties settings = new Properties();
        settings.put(StreamsConfig.APPLICATION_ID_CONFIG, id);
        settings.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, options.get("bootstrap"));
        settings.put(StreamsConfig.STATE_DIR_CONFIG, options.get("folder"));
        settings.put(StreamsConfig.NUM_STREAM_THREADS_CONFIG, options.get("threads"));
        settings.put(StreamsConfig.DEFAULT_KEY_SERDE_CLASS_CONFIG, Serdes.StringSerde.class);
        settings.put(StreamsConfig.DEFAULT_VALUE_SERDE_CLASS_CONFIG, Serdes.ByteArraySerde.class);
        settings.put(StreamsConfig.PROCESSING_GUARANTEE_CONFIG, StreamsConfig.AT_LEAST_ONCE);
        settings.put(StreamsConfig.consumerPrefix(ConsumerConfig.AUTO_OFFSET_RESET_CONFIG), "earliest");
        settings.put(StreamsConfig.producerPrefix(ProducerConfig.COMPRESSION_TYPE_CONFIG), "lz4");
        settings.put(StreamsConfig.producerPrefix(ProducerConfig.ACKS_CONFIG), "all");
        return settings;
    }
}
