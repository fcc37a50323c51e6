//! Memory: how much this process uses, and how much is available on this machine.

use std::fs::read_to_string;
use std::path::{Path, PathBuf};

/// The bytes this process uses now, and the maximum so far; `None` if the system does not report them.
pub fn held() -> Option<(u64, u64)> {
    let status = read_to_string("/proc/self/status").ok()?;
    Some((field(&status, "VmRSS:")?, field(&status, "VmHWM:")?))
}

/// The limit: the machine's memory, or that of its control groups; `None` if unknown.
pub fn most() -> Option<u64> {
    let machine = field(&read_to_string("/proc/meminfo").ok()?, "MemTotal:")?;
    let groups = read_to_string("/proc/self/cgroup").unwrap_or_default();
    let limits = limits(&groups, Path::new("/sys/fs/cgroup"));
    let allowed = limits.iter().filter_map(|path| read_to_string(path).ok()?.trim().parse().ok());
    Some(allowed.fold(machine, u64::min))
}

/// The memory not used by other programs or this process.
pub fn free() -> Option<u64> {
    field(&read_to_string("/proc/meminfo").ok()?, "MemAvailable:")
}

/// A line such as `MemTotal:  24737380 kB`, in bytes.
fn field(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kib| kib * 1024)
}

/// The files that may hold a limit, for the process's group and every enclosing group: in version 2 `memory.max`
/// (which may contain `max`, meaning no limit) and in version 1 `memory.limit_in_bytes`.
fn limits(groups: &str, root: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for line in groups.lines() {
        let mut parts = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(group)) = (parts.next(), parts.next()) else { continue };
        let (root, file) = match controllers {
            "" => (root.to_path_buf(), "memory.max"),
            _ if controllers.split(',').any(|one| one == "memory") => {
                (root.join("memory"), "memory.limit_in_bytes")
            }
            _ => continue,
        };
        // In a container the group's path may be that of the host, and its own limit is at the root.
        let group = Path::new(group.trim_start_matches('/'));
        files.extend(group.ancestors().map(|group| root.join(group).join(file)));
    }
    files
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_stand_in_the_group_and_all_around_it() {
        let found = limits("9:memory,hugetlb:/a\n3:cpu:/b\n0::/x/y\n", Path::new("/c"));
        let expected = [
            "/c/memory/a/memory.limit_in_bytes",
            "/c/memory/memory.limit_in_bytes",
            "/c/x/y/memory.max",
            "/c/x/memory.max",
            "/c/memory.max",
        ];
        assert_eq!(found, expected.map(PathBuf::from));
    }

    #[test]
    fn a_field_is_in_bytes() {
        assert_eq!(field("MemTotal:   24 kB\nMemFree: 2 kB\n", "MemFree:"), Some(2048));
        assert_eq!(field("MemTotal:   24 kB\n", "MemFree:"), None);
    }
}
