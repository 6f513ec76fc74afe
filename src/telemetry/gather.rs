//! Gathers the lines of a moment into one write.
//!
//! A line that comes alone is written at once. Then the writer's thread sleeps for a moment, so that under load neither
//! waking it nor writing is paid for each line; what comes meanwhile waits in its queue.

use std::io::{self, BufWriter, Write};
use std::time::Duration;

/// How long a line may wait. A full queue would take more than 160,000 lines a second.
const MOMENT: Duration = Duration::from_millis(100);
/// Lines go out in pieces of at most this, and are never split below it.
const PIECE: usize = 64 * 1024;

pub(super) struct Gather<W: Write>(BufWriter<W>);

impl<W: Write> Gather<W> {
    pub(super) fn new(inner: W) -> Self {
        Self(BufWriter::with_capacity(PIECE, inner))
    }
}

impl<W: Write> Write for Gather<W> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.write(line)
    }

    /// The writer flushes when its queue is empty.
    fn flush(&mut self) -> io::Result<()> {
        let flushed = self.0.flush();
        #[expect(clippy::disallowed_methods, reason = "runs in the writer's own thread, which is no worker")]
        std::thread::sleep(MOMENT);
        flushed
    }
}
