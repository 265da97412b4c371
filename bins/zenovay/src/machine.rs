//! How much memory there is for this process: what the machine has, or what a container is given.

use std::fs;

use rustix::process::{Resource, getrlimit};

/// Where the limit of a container is, for both versions of control groups.
const CONTAINER_LIMITS: [&str; 2] = ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"];

/// One part in `parts` of the memory of this process, at most `most` bytes.
pub(crate) fn memory_share(parts: usize, most: usize) -> usize {
    let own = |file: &str| fs::read_to_string(file).ok();
    let groups = own("/proc/self/cgroup").unwrap_or_default();
    let limits = CONTAINER_LIMITS.iter().map(|file| (*file).to_owned()).chain(groups.lines().filter_map(group_limit));
    let containers = limits.filter_map(|file| own(&file)?.trim().parse::<u64>().ok());
    let machine = own("/proc/meminfo").as_deref().and_then(total_of);
    let memory = containers.chain(machine).chain(getrlimit(Resource::As).current).min();
    memory.map_or(most, |memory| usize::try_from(memory).unwrap_or(usize::MAX) / parts).min(most)
}

/// The file with the limit of the control group that a line of `/proc/self/cgroup` names.
fn group_limit(line: &str) -> Option<String> {
    let mut fields = line.splitn(3, ':').skip(1);
    match (fields.next()?, fields.next()?) {
        ("", group) => Some(format!("/sys/fs/cgroup{group}/memory.max")),
        ("memory", group) => Some(format!("/sys/fs/cgroup/memory{group}/memory.limit_in_bytes")),
        _ => None,
    }
}

/// The bytes of `MemTotal` in `/proc/meminfo`.
fn total_of(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1_024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limits_of_machine_and_container_are_read() {
        assert_eq!(total_of("MemFree: 1 kB\nMemTotal:       24685000 kB\n"), Some(24_685_000 * 1_024));
        assert_eq!(total_of("MemFree: 1 kB\n"), None);
        assert_eq!(group_limit("0::/a/b").as_deref(), Some("/sys/fs/cgroup/a/b/memory.max"));
        let version_1 = group_limit("9:memory:/docker/x");
        assert_eq!(version_1.as_deref(), Some("/sys/fs/cgroup/memory/docker/x/memory.limit_in_bytes"));
        assert_eq!(group_limit("3:cpu:/x"), None);
        assert_eq!(memory_share(8, 1), 1);
    }
}
