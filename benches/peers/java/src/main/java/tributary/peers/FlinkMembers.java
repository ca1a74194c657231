package tributary.peers;

import java.io.IOException;
import java.io.OutputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CountDownLatch;

/** Where Flink's subtasks and the thread that gives commands meet, which works since all are in one process. */
final class FlinkMembers {
    private static final CountDownLatch OPENED = new CountDownLatch(FlinkPeer.PARALLELISM);
    private static final Map<Path, CountDownLatch> ASKED = new ConcurrentHashMap<>();

    private FlinkMembers() {}

    static void opened() {
        OPENED.countDown();
    }

    static void awaitOpened() throws InterruptedException {
        OPENED.await();
    }

    /** Where a subtask writes its share of what goes to a path. */
    static Path part(Path path, int subtask) {
        return path.resolveSibling(path.getFileName() + ".part-" + subtask);
    }

    static void ask(Path path) {
        ASKED.put(path, new CountDownLatch(FlinkPeer.PARALLELISM));
    }

    /** A subtask's share is there. Who asked may be gone, killed before. */
    static void written(Path path) {
        CountDownLatch missing = ASKED.get(path);
        if (missing != null) {
            missing.countDown();
        }
    }

    /** Waits for all shares, and puts them together. */
    static void collect(Path path) throws IOException, InterruptedException {
        ASKED.get(path).await();
        ASKED.remove(path);
        try (OutputStream all = Files.newOutputStream(path)) {
            for (int subtask = 0; subtask < FlinkPeer.PARALLELISM; subtask++) {
                Path part = part(path, subtask);
                Files.copy(part, all);
                Files.delete(part);
            }
        }
    }
}
