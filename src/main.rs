//! The `tributary` program.

/// Epochs allocate and free many megabytes on different threads, which this allocator hands back and forth without the
/// kernel (`make bench`).
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> std::process::ExitCode {
    tributary::cli::main()
}
