package tributary.peers;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;

/** What whoever started a peer asks of it through its standard input, until that ends. */
final class Commands {
    private static final String MEMBERS = "members ";

    /** Writes a line for each customer: its key, a tab, its segments. */
    interface Members {
        void write(Path path) throws Exception;
    }

    private Commands() {}

    static void serve(Members members) throws Exception {
        System.out.println("started");
        BufferedReader lines = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line = lines.readLine(); line != null; line = lines.readLine()) {
            if (!line.startsWith(MEMBERS)) {
                throw new IOException("no command: " + line);
            }
            members.write(Path.of(line.substring(MEMBERS.length())));
            System.out.println("members written");
        }
    }
}
