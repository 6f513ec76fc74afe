//! Gathers the lines of a moment into one write: the writer's thread pauses whenever its queue is empty.

use std::io::{self, BufWriter, Write};

use crate::flush_pacer::FlushPacer;

/// Lines go out in pieces of at most this, and are never split below it.
const PIECE: usize = 64 * 1024;

pub(super) struct Gather<W: Write> {
    inner: BufWriter<W>,
    pause: FlushPacer,
}

impl<W: Write> Gather<W> {
    pub(super) fn new(inner: W) -> Self {
        Self { inner: BufWriter::with_capacity(PIECE, inner), pause: FlushPacer::default() }
    }
}

impl<W: Write> Write for Gather<W> {
    /// One line, because that is how the writer passes them on.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.pause.count(1);
        self.inner.write(line)
    }

    /// The writer flushes when its queue is empty.
    fn flush(&mut self) -> io::Result<()> {
        let flushed = self.inner.flush();
        self.pause.rest();
        flushed
    }
}
