//! Gathers the lines of a short time into one write: the appender's thread pauses whenever its queue is empty.

use std::io::{self, BufWriter, Write};

use crate::flush_pacer::{FlushPacer, LONGEST};

/// Bytes of one write. A shorter line is never split.
const BUFFER: usize = 64 * 1024;

pub(super) struct BatchWriter<W: Write> {
    inner: BufWriter<W>,
    pacer: FlushPacer,
}

impl<W: Write> BatchWriter<W> {
    pub(super) fn new(inner: W) -> Self {
        Self { inner: BufWriter::with_capacity(BUFFER, inner), pacer: FlushPacer::new(LONGEST) }
    }
}

impl<W: Write> Write for BatchWriter<W> {
    /// The appender writes one line at a time.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.pacer.count(1);
        self.inner.write(line)
    }

    /// The appender flushes when its queue is empty.
    fn flush(&mut self) -> io::Result<()> {
        let flushed = self.inner.flush();
        self.pacer.rest();
        flushed
    }
}
