//! The command line of `hangup`. Each command returns the exit code; see [`hangup::cli`].

use std::process::ExitCode;

use mimalloc::MiMalloc;

/// A disconnect allocates a hundred times, and this is the better part of a tenth of its processor time (docs/PERFORMANCE.md).
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    hangup::cli::main()
}
