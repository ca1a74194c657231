package tributary.peers;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Comparator;
import java.util.List;
import java.util.Optional;
import java.util.stream.Stream;
import org.apache.flink.configuration.CheckpointingOptions;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.configuration.CoreOptions;
import org.apache.flink.configuration.ExecutionOptions;
import org.apache.flink.configuration.ExternalizedCheckpointRetention;
import org.apache.flink.configuration.MemorySize;
import org.apache.flink.configuration.PipelineOptions;
import org.apache.flink.configuration.StateBackendOptions;
import org.apache.flink.configuration.StateRecoveryOptions;
import org.apache.flink.configuration.TaskManagerOptions;
import org.apache.flink.core.execution.CheckpointingMode;
import org.apache.flink.core.execution.RecoveryClaimMode;
import org.apache.flink.state.rocksdb.RocksDBConfigurableOptions;
import org.apache.flink.state.rocksdb.RocksDBOptions;

/** How Flink is set up: memory, state and checkpoints, and from which checkpoint it goes on. */
final class FlinkConfig {
    private FlinkConfig() {}

    static Configuration of(Arguments arguments) throws IOException {
        Path state = Path.of(arguments.state()).toAbsolutePath();
        Path checkpoints = state.resolve("checkpoints");
        // What the process before worked on; what counts is in its checkpoints.
        Path scratch = state.resolve("scratch");
        delete(scratch);
        Files.createDirectories(scratch);
        Files.createDirectories(checkpoints);

        Configuration config = new Configuration();
        config.set(CoreOptions.TMP_DIRS, scratch.toString());
        config.set(RocksDBOptions.LOCAL_DIRECTORIES, scratch.resolve("rocksdb").toString());
        memory(config);
        config.set(PipelineOptions.OBJECT_REUSE, true);
        config.set(PipelineOptions.GENERIC_TYPES, false);
        config.set(ExecutionOptions.BUFFER_TIMEOUT, Duration.ofMillis(5));

        config.set(StateBackendOptions.STATE_BACKEND, "rocksdb");
        config.set(RocksDBConfigurableOptions.USE_BLOOM_FILTER, true);
        config.set(RocksDBConfigurableOptions.MAX_BACKGROUND_THREADS, 2);
        config.set(CheckpointingOptions.INCREMENTAL_CHECKPOINTS, true);
        config.set(CheckpointingOptions.CHECKPOINT_STORAGE, "filesystem");
        config.set(CheckpointingOptions.CHECKPOINTS_DIRECTORY, checkpoints.toUri().toString());
        config.set(CheckpointingOptions.CHECKPOINTING_CONSISTENCY_MODE, CheckpointingMode.EXACTLY_ONCE);
        config.set(CheckpointingOptions.CHECKPOINTING_INTERVAL, Duration.ofMillis(arguments.checkpointMillis()));
        config.set(
                CheckpointingOptions.EXTERNALIZED_CHECKPOINT_RETENTION,
                ExternalizedCheckpointRetention.RETAIN_ON_CANCELLATION);
        Optional<Path> newest = newest(checkpoints);
        if (newest.isPresent()) {
            config.set(StateRecoveryOptions.SAVEPOINT_PATH, newest.get().toUri().toString());
            // The checkpoint becomes this process's own, which deletes it when it has newer ones.
            config.set(StateRecoveryOptions.RESTORE_MODE, RecoveryClaimMode.CLAIM);
        }
        return config;
    }

    private static void memory(Configuration config) {
        config.set(TaskManagerOptions.NUM_TASK_SLOTS, FlinkPeer.PARALLELISM);
        config.set(TaskManagerOptions.MANAGED_MEMORY_SIZE, MemorySize.ofMebiBytes(384));
        MemorySize network = MemorySize.ofMebiBytes(64);
        config.set(TaskManagerOptions.NETWORK_MEMORY_MIN, network);
        config.set(TaskManagerOptions.NETWORK_MEMORY_MAX, network);
    }

    /** The completed checkpoint with the highest number: a new process counts on from the one it has restored. */
    private static Optional<Path> newest(Path checkpoints) throws IOException {
        try (Stream<Path> files = Files.find(checkpoints, 3, (path, attributes) -> path.endsWith("_metadata"))) {
            return files.map(Path::getParent).max(Comparator.comparingLong(FlinkConfig::number));
        }
    }

    private static long number(Path checkpoint) {
        return Long.parseLong(checkpoint.getFileName().toString().substring("chk-".length()));
    }

    private static void delete(Path folder) throws IOException {
        if (!Files.exists(folder)) {
            return;
        }
        List<Path> all;
        try (Stream<Path> paths = Files.walk(folder)) {
            all = paths.sorted(Comparator.reverseOrder()).toList();
        }
        for (Path path : all) {
            Files.delete(path);
        }
    }
}
