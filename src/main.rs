//! The command line of `hangup`. Each command returns the exit code; see [`hangup::cli`].

use std::process::ExitCode;

fn main() -> ExitCode {
    hangup::cli::main()
}
