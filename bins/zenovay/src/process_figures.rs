//! What the kernel says of this process and of the disk, under the names that Prometheus' own clients use. Where it has no
//! `/proc`, what is read from there is absent.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fs::statvfs;
use rustix::param::{clock_ticks_per_second, page_size};
use rustix::process::{Resource, getrlimit};

/// Fields of `/proc/self/stat`, of which the first two are cut off: the name in the second may have spaces in it.
struct Stat<'a>(Vec<&'a str>);

impl<'a> Stat<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let (_, rest) = text.rsplit_once(')')?;
        Some(Self(rest.split_whitespace().collect()))
    }

    /// Field `number` of proc_pid_stat(5), which counts from 1.
    fn field(&self, number: usize) -> Option<u64> {
        self.0.get(number.checked_sub(3)?)?.parse().ok()
    }
}

/// When the kernel started, in seconds since 1970.
fn boot_time() -> Option<u64> {
    let text = fs::read_to_string("/proc/stat").ok()?;
    text.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()
}

/// Sets the `process_` metrics.
pub fn report() {
    let gauge = |name: &'static str, value: Option<u64>| {
        if let Some(value) = value {
            metrics::gauge!(name).set(value as f64);
        }
    };
    let text = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    if let Some(stat) = Stat::parse(&text) {
        let ticks = clock_ticks_per_second().max(1);
        if let (Some(user), Some(system)) = (stat.field(14), stat.field(15)) {
            metrics::counter!("process_cpu_seconds_total").absolute((user + system) / ticks);
        }
        gauge("process_threads", stat.field(20));
        gauge("process_start_time_seconds", boot_time().zip(stat.field(22)).map(|(boot, start)| boot + start / ticks));
        gauge("process_virtual_memory_bytes", stat.field(23));
        gauge("process_resident_memory_bytes", stat.field(24).map(|pages| pages * page_size() as u64));
    }
    gauge("process_open_fds", open_files());
    gauge("process_max_fds", open_files_max());
}

/// How many bytes whoever is not root may still write to the disk of `directory`.
pub fn free_bytes(directory: &Path) -> Option<u64> {
    statvfs(directory).ok().map(|disk| disk.f_bavail.saturating_mul(disk.f_frsize))
}

/// How many files, sockets and pipes the process has open.
pub fn open_files() -> Option<u64> {
    fs::read_dir("/proc/self/fd").ok().map(|files| files.count() as u64)
}

/// How many it may have open.
pub fn open_files_max() -> Option<u64> {
    getrlimit(Resource::Nofile).current
}

/// Sets the metrics of the disk that `directory` is on; none when it cannot be asked.
pub fn report_disk(directory: &Path) {
    if let Ok(disk) = statvfs(directory) {
        // What is kept back for root is not for a server that is not root.
        metrics::gauge!("zenovay_disk_free_bytes").set((disk.f_bavail * disk.f_frsize) as f64);
        metrics::gauge!("zenovay_disk_size_bytes").set((disk.f_blocks * disk.f_frsize) as f64);
    }
}

/// The unit of `st_blocks`, whatever the blocks of the disk are.
const BLOCK_BYTES: u64 = 512;

/// What the files below `directory` occupy on their disk, in bytes; a file with several names counts once for all of them, when all
/// are below. Links are not followed, and what cannot be read is not counted; `None` when `directory` itself cannot be. It takes as
/// long as there are files.
pub fn bytes_below(directory: &Path) -> Option<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(directory).ok()?.flatten() {
        let Ok(file) = entry.metadata() else { continue };
        bytes += file.blocks() * BLOCK_BYTES / file.nlink().max(1);
        if file.is_dir() {
            bytes += bytes_below(&entry.path()).unwrap_or(0);
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sabotage: count a file once for each of its names, or not look into directories.
    #[test]
    fn files_are_counted_wherever_they_are_and_once() {
        let directory = tempfile::tempdir().unwrap();
        let empty = bytes_below(directory.path()).unwrap();
        fs::create_dir(directory.path().join("below")).unwrap();
        fs::write(directory.path().join("below/file"), vec![7; 100_000]).unwrap();
        let once = bytes_below(directory.path()).unwrap();
        assert!(once >= empty + 100_000, "{empty} {once}");
        fs::hard_link(directory.path().join("below/file"), directory.path().join("another")).unwrap();
        let twice = bytes_below(directory.path()).unwrap();
        assert!(twice < once + 50_000, "{once} {twice}");
        assert_eq!(bytes_below(&directory.path().join("another")), None);
    }

    #[test]
    fn fields_are_counted_behind_the_name() {
        let stat = Stat::parse("42 (a) (b) S 1 42 42 0 -1 4194560 100 0 0 0 70 30 0 0 20 0 9 0 500 4096 12 9").unwrap();
        let fields = [14, 15, 20, 22, 23, 24].map(|number| stat.field(number));
        assert_eq!(fields, [Some(70), Some(30), Some(9), Some(500), Some(4096), Some(12)]);
        assert_eq!((stat.field(2), stat.field(99)), (None, None));
        assert!(Stat::parse("").is_none());
    }
}
