package bench;

import com.sun.management.OperatingSystemMXBean;
import java.lang.management.ManagementFactory;
import java.util.Locale;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicLong;

/** Counts what was processed, and measures CPU and wall time from the end of the warm-up on. */
final class Meter {
    private static final OperatingSystemMXBean SYSTEM =
            (OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean();
    private final long total;
    private final long warmup;
    private final AtomicLong done = new AtomicLong();
    private final AtomicLong events = new AtomicLong();
    private final CountDownLatch all = new CountDownLatch(1);
    private volatile long cpu = SYSTEM.getProcessCpuTime();
    private volatile long wall = System.nanoTime();

    Meter(long total, long warmup) {
        this.total = total;
        this.warmup = warmup;
    }

    void processed(boolean event) {
        if (event) {
            events.incrementAndGet();
        }
        long count = done.incrementAndGet();
        if (count == warmup) {
            cpu = SYSTEM.getProcessCpuTime();
            wall = System.nanoTime();
        }
        if (count == total) {
            all.countDown();
        }
    }

    void awaitAll() throws InterruptedException {
        all.await();
    }

    String figures() {
        double usedCpu = (SYSTEM.getProcessCpuTime() - cpu) / 1e9;
        double usedWall = (System.nanoTime() - wall) / 1e9;
        return String.format(
                Locale.ROOT,
                "{\"contender\": \"kafka_streams\", \"changes\": %d, \"cpu_seconds\": %.3f, "
                        + "\"seconds\": %.3f, \"events\": %d}",
                total - warmup, usedCpu, usedWall, events.get());
    }
}
