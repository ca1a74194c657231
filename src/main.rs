//! The `tributary` program.

fn main() -> std::process::ExitCode {
    tributary::cli::main()
}
