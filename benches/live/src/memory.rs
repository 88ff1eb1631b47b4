//! What the machine's memory is used for.

use std::fs;

/// Bytes that belong to some processes, shared pages divided among those that share them.
pub fn of_processes(pids: &[u32]) -> crate::Result<u64> {
    let mut sum = 0;
    for pid in pids {
        sum += field(&fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?, "Pss:")?;
    }
    Ok(sum)
}

/// Bytes that the machine could still give out.
pub fn available() -> crate::Result<u64> {
    field(&fs::read_to_string("/proc/meminfo")?, "MemAvailable:")
}

fn field(text: &str, name: &str) -> crate::Result<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name)).ok_or(name)?;
    let kilobytes: u64 = line.trim().trim_end_matches(" kB").parse()?;
    Ok(kilobytes * 1024)
}
