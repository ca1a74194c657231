//! What a process and its children have used, as the kernel counts it.

use std::path::Path;
use std::time::Duration;

/// What Linux tells processor time in, on every platform that Tributary runs on.
const TICKS_A_SECOND: u64 = 100;

/// The most memory that a process has held at once, in bytes.
pub(crate) fn peak_memory(pid: u32) -> u64 {
    kilobytes(pid, "VmHWM:")
}

/// The memory that it holds, in bytes.
pub(crate) fn memory(pid: u32) -> u64 {
    kilobytes(pid, "VmRSS:")
}

fn kilobytes(pid: u32, field: &str) -> u64 {
    number(&format!("/proc/{pid}/status"), field) * 1024
}

/// Bytes that it has caused to be written to disks.
pub(crate) fn written(pid: u32) -> u64 {
    number(&format!("/proc/{pid}/io"), "write_bytes:")
}

/// Processor time that it has used, of all its threads.
pub(crate) fn processor_time(pid: u32) -> Duration {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    // Behind the name, which may hold anything, stand the state and ten numbers before the two times.
    let (_, numbers) = text.rsplit_once(')').unwrap();
    let ticks: u64 = numbers.split_whitespace().skip(11).take(2).map(|number| number.parse::<u64>().unwrap()).sum();
    Duration::from_millis(ticks * 1000 / TICKS_A_SECOND)
}

fn number(path: &str, field: &str) -> u64 {
    let text = std::fs::read_to_string(path).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(field)).unwrap();
    line.trim().trim_end_matches(" kB").trim().parse().unwrap()
}

/// Bytes of a folder's files. Those that vanish while they are counted count nothing.
pub(crate) fn size_of(path: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(path) else { return std::fs::metadata(path).map_or(0, |file| file.len()) };
    entries.flatten().map(|entry| size_of(&entry.path())).sum()
}
