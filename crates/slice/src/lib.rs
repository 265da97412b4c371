//! How long the kernel lets a thread run while another one waits for its core.
//!
//! Linux gives a thread some milliseconds before it lets another of equal rank have the core, also when that one was woken by
//! a request and needs it for a tenth of that. Since version 6.12 a thread may ask for shorter slices, without any right: it gets
//! the same share of the core in smaller pieces, and whoever waits has it sooner. Threads that it starts have the same.
//!
//! This crate is apart from all others because it holds the only `unsafe` code of the project.

use std::io;
use std::time::Duration;

/// Asks for slices of `slice` for this thread and those that it starts from now on, and returns what the kernel gives: `None`
/// when it is older than 6.12 and has the same slices for all. The kernel takes 0.1 to 100 ms and gives what is nearest. Policy and
/// niceness stay as they are.
///
/// # Errors
/// `Unsupported` on other systems, and for threads of real-time or idle policy, which have no such slices. What the kernel says when the
/// call is forbidden, as by a filter of system calls.
pub fn ask_for(slice: Duration) -> io::Result<Option<Duration>> {
    system::ask_for(slice)
}

#[cfg(target_os = "linux")]
mod system {
    use super::{Duration, io};

    /// `struct sched_attr` of `linux/sched/types.h` as far as its first version goes, which every kernel takes.
    #[repr(C)]
    #[derive(Default)]
    struct Attributes {
        size: u32,
        policy: u32,
        flags: u64,
        nice: i32,
        priority: u32,
        runtime_ns: u64,
        deadline_ns: u64,
        period_ns: u64,
    }

    const SIZE: u32 = 48;
    const _: () = assert!(size_of::<Attributes>() == SIZE as usize);

    /// The policies of `linux/sched.h` whose threads have slices.
    const NORMAL: u32 = 0;
    const BATCH: u32 = 3;

    #[allow(unsafe_code, reason = "no safe library has this call")]
    fn get() -> io::Result<Attributes> {
        let mut attributes = Attributes::default();
        // SAFETY: thread 0 is this one, and the kernel writes at most `SIZE` bytes, which `attributes` has.
        let done = unsafe { libc::syscall(libc::SYS_sched_getattr, 0, &raw mut attributes, SIZE, 0) };
        if done == 0 { Ok(attributes) } else { Err(io::Error::last_os_error()) }
    }

    #[allow(unsafe_code, reason = "no safe library has this call")]
    fn set(attributes: &Attributes) -> io::Result<()> {
        // SAFETY: thread 0 is this one, and the kernel reads `attributes.size` bytes, which are `SIZE` in what `get` returned at most.
        let done = unsafe { libc::syscall(libc::SYS_sched_setattr, 0, &raw const *attributes, 0) };
        if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }

    pub(super) fn ask_for(slice: Duration) -> io::Result<Option<Duration>> {
        let mut attributes = get()?;
        if ![NORMAL, BATCH].contains(&attributes.policy) {
            return Err(io::ErrorKind::Unsupported.into());
        }
        attributes.size = SIZE;
        attributes.runtime_ns = u64::try_from(slice.as_nanos()).unwrap_or(u64::MAX);
        set(&attributes)?;
        given()
    }

    /// The slice of this thread, when the kernel gives one to each.
    pub(super) fn given() -> io::Result<Option<Duration>> {
        let given_ns = get()?.runtime_ns;
        Ok((given_ns > 0).then(|| Duration::from_nanos(given_ns)))
    }
}

#[cfg(not(target_os = "linux"))]
mod system {
    use super::{Duration, io};

    pub(super) fn ask_for(_slice: Duration) -> io::Result<Option<Duration>> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails loudly")]

    use super::*;

    /// Whether this kernel gives slices to single threads.
    fn gives_slices() -> bool {
        let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
        let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(|part| part.parse::<u32>().unwrap());
        (numbers.next().unwrap(), numbers.next().unwrap()) >= (6, 12)
    }

    /// Sabotage: leave the call out, or set it for a thread that is not this one.
    #[test]
    fn a_slice_is_given_and_holds_for_the_threads_that_are_started() {
        let given = |ms: u64| gives_slices().then(|| Duration::from_millis(ms));
        std::thread::spawn(move || {
            assert_eq!(ask_for(Duration::from_millis(2)).unwrap(), given(2));
            assert_eq!(std::thread::spawn(system::given).join().unwrap().unwrap(), given(2));
            // What is asked for beyond what the kernel takes.
            assert_eq!(ask_for(Duration::MAX).unwrap(), given(100));
            assert_eq!(ask_for(Duration::from_micros(1)).unwrap(), gives_slices().then(|| Duration::from_micros(100)));
        })
        .join()
        .unwrap();
    }
}
