//! A group of processes that the kernel gives no more memory than it says, as a container does.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

/// Groups of this process so far.
static MADE: AtomicU32 = AtomicU32::new(0);

/// A control group with a limit of memory, page cache included. It is removed with this, when its processes have ended.
pub struct MemoryGroup {
    directory: PathBuf,
    /// Where it is told how many of its processes were killed for want of memory.
    told_in: &'static str,
}

impl MemoryGroup {
    /// A group that has `bytes`, below that of this process; why the machine allows none otherwise.
    pub fn of(bytes: u64) -> Result<Self, String> {
        let own = std::fs::read_to_string("/proc/self/cgroup").map_err(|error| error.to_string())?;
        let group = |is_it: fn(&str) -> bool| {
            own.lines().find_map(|line| {
                let mut fields = line.splitn(3, ':').skip(1);
                is_it(fields.next()?).then_some(fields.next()).flatten()
            })
        };
        let memory = group(|controllers| controllers.split(',').any(|name| name == "memory"));
        let (root, group, limit, told_in) = match memory {
            Some(group) => ("/sys/fs/cgroup/memory", group, "memory.limit_in_bytes", "memory.oom_control"),
            None => {
                let group = group(str::is_empty).ok_or("there are no control groups")?;
                ("/sys/fs/cgroup", group, "memory.max", "memory.events")
            }
        };
        let name = format!("zenovay-test-{}-{}", std::process::id(), MADE.fetch_add(1, Ordering::Relaxed));
        let mut why = String::new();
        // In version 2 a group with processes of its own may have no limited ones below it, so it is made beside it.
        for above in Path::new(&format!("{root}{group}")).ancestors().take_while(|above| above.starts_with(root)) {
            let directory = above.join(&name);
            let made = std::fs::create_dir(&directory).map(|()| Self { directory: directory.clone(), told_in });
            match made.and_then(|made| std::fs::write(directory.join(limit), bytes.to_string()).map(|()| made)) {
                Ok(made) => return Ok(made),
                Err(error) => why = format!("{}: {error}", directory.display()),
            }
        }
        Err(why)
    }

    /// The words before a command that is to run in the group.
    pub fn wrapper(&self) -> Vec<String> {
        let enter = format!("echo $$ > '{}/cgroup.procs' && exec \"$@\"", self.directory.display());
        ["sh", "-c", &enter, "sh"].map(str::to_owned).to_vec()
    }

    /// How many of its processes the kernel killed because they wanted more.
    pub fn killed(&self) -> u64 {
        let told = std::fs::read_to_string(self.directory.join(self.told_in)).expect("the group is there");
        let line = told.lines().find_map(|line| line.strip_prefix("oom_kill ")).expect("it is told");
        line.trim().parse().expect("a number")
    }
}

impl Drop for MemoryGroup {
    fn drop(&mut self) {
        // It fails while a process of it ends; then an empty group is left behind.
        if let Err(error) = std::fs::remove_dir(&self.directory) {
            eprintln!("{} was left behind: {error}", self.directory.display());
        }
    }
}
