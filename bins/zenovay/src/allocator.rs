//! How soon memory that is free goes back to the kernel.

use std::env;
use std::os::unix::process::CommandExt;
use std::process::Command;

/// What mimalloc reads when a program starts, and at no other time.
const DELAY: &str = "MIMALLOC_PURGE_DELAY";
/// Milliseconds. mimalloc's own second is long enough for a flood of long strings to leave 100 MB behind that nobody uses.
const DELAY_MS: &str = "10";

/// Puts this program, with the same arguments, in its own place, so that mimalloc gives memory back soon. The process stays
/// the same. Returns when it is so already, when the environment says another delay, or when the program cannot be started
/// again: it works without, and takes more memory.
pub(crate) fn give_back_soon() {
    if env::var_os(DELAY).is_some() {
        return;
    }
    let Ok(program) = env::current_exe() else { return };
    let mut command = Command::new(program);
    let mut arguments = env::args_os();
    if let Some(name) = arguments.next() {
        command.arg0(name);
    }
    // It comes back only with an error.
    let error = command.args(arguments).env(DELAY, DELAY_MS).exec();
    eprintln!("zenovay: memory that is free is given back late: {error}");
}
