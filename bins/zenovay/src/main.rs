//! The `zenovay` program.

use std::process::ExitCode;

use mimalloc::MiMalloc;

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    let code = zenovay::cli::run(std::env::args_os());
    zenovay::backends::leave();
    code.into()
}
