//! Writes the seeds that are not in `seeds`, because the program itself makes them, to the directories of the targets in the
//! directory that is given.

use std::path::Path;
use std::{env, fs, io};

fn main() -> io::Result<()> {
    let Some(corpus) = env::args_os().nth(1) else { return Err(io::Error::other("give a directory")) };
    let store = tempfile::tempdir()?;
    for (number, (target, seed)) in zenovay_fuzz::written(store.path()).into_iter().enumerate() {
        let dir = Path::new(&corpus).join(target);
        fs::create_dir_all(&dir)?;
        fs::write(dir.join(format!("written-{number}")), seed)?;
    }
    Ok(())
}
