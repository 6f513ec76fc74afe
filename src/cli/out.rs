//! Writing to the terminal, a file or a pipe whose reader may leave early.

use std::fmt::Arguments;
use std::io::{self, ErrorKind, Write as _};

/// The exit code of a program whose reader has left, as shells know it: 128 and the number of SIGPIPE.
const READER_LEFT: i32 = 141;

/// Writes to stdout. Ends the process where that is impossible: what it was to tell is lost.
pub(super) fn show(text: Arguments<'_>) {
    match io::stdout().write_fmt(text) {
        Ok(()) => {}
        Err(error) if error.kind() == ErrorKind::BrokenPipe => std::process::exit(READER_LEFT),
        Err(error) => {
            remark(format_args!("hangup: stdout cannot be written ({error})\n"));
            std::process::exit(1);
        }
    }
}

/// Writes to stderr, if anyone reads it.
pub(super) fn remark(text: Arguments<'_>) {
    let _ = io::stderr().write_fmt(text);
}
