//! The command line of `hangup`. Each command returns the exit code; see [`hangup::cli`].

use std::process::ExitCode;

// A tenth of the processor time of a disconnect: docs/PERFORMANCE.md.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    hangup::cli::main()
}
