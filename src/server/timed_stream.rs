//! A stream with time limits: for a request head, for an idle connection, for an answer that the caller does not read.
//!
//! hyper's own header time-out runs while a connection waits for its next request, too (its timer starts with the
//! first attempt to read a head, not with the head's first byte), so a short one would cut idle connections. Here the
//! phase of the connection decides which limit holds.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

use super::ServeSettings;
use super::phase::{ConnectionPhase, ConnectionState};
use super::stats::ServeStats;
use super::transport::AcceptedStream;

/// How many bytes of an unread request body are read and discarded, and for how long, before the connection is closed.
/// Closing at once would reset the connection, which can destroy the answer on its way.
const LINGER: (usize, Duration) = (8 << 20, Duration::from_secs(2));

#[derive(Debug)]
pub(super) struct TimedStream {
    inner: AcceptedStream,
    state: Arc<ConnectionState>,
    limits: Limits,
    stats: Arc<ServeStats>,
    reading: Timer,
    writing: Timer,
    /// The phase of the last read that had to wait, and since when.
    phase: (ConnectionPhase, Instant),
    /// Since when the caller has been behind with reading its answer, and how many bytes it has read since.
    behind: Option<(Instant, usize)>,
    lingered: Option<(usize, Instant)>,
}

#[derive(Debug, Clone, Copy)]
struct Limits {
    header: Duration,
    idle: Duration,
    write: Duration,
    read_pace: u32,
}

impl TimedStream {
    pub(super) fn new(inner: AcceptedStream, state: Arc<ConnectionState>, settings: &ServeSettings) -> Self {
        Self {
            inner,
            state,
            limits: Limits {
                header: settings.header_timeout,
                idle: settings.idle_timeout,
                write: settings.write_timeout,
                read_pace: settings.read_pace.max(1),
            },
            stats: Arc::clone(&settings.stats),
            reading: Timer::default(),
            writing: Timer::default(),
            phase: (ConnectionPhase::Head, Instant::now()),
            behind: None,
            lingered: None,
        }
    }

    /// For a read that must wait: ready when it has waited too long in this phase, or when the connection is stopping.
    fn poll_read_limit(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let phase = self.state.phase();
        if phase == ConnectionPhase::Busy {
            // The handler limits the time for a body.
            return Poll::Pending;
        }
        if self.state.is_stopping() {
            return Poll::Ready(Ok(()));
        }
        if self.phase.0 != phase {
            self.phase = (phase, Instant::now());
        }
        let limit = if phase == ConnectionPhase::Idle { self.limits.idle } else { self.limits.header };
        ready!(self.reading.poll(cx, self.phase.1 + limit));
        if phase == ConnectionPhase::Idle {
            return Poll::Ready(Ok(()));
        }
        self.stats.connection_cut();
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "no whole request head in time")))
    }

    /// Passes on the result of a write; fails if the caller reads its answer too slowly.
    fn limit_write(&mut self, cx: &mut Context<'_>, result: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        match (&result, &mut self.behind) {
            (Poll::Ready(Ok(count)), Some((_, taken))) => *taken += count,
            (Poll::Pending, None) => self.behind = Some((Instant::now(), 0)),
            _ => {}
        }
        if result.is_pending() {
            ready!(self.poll_write_limit(cx));
            self.stats.connection_cut();
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the answer is taken too slowly")));
        }
        result
    }

    /// Ready when the caller has been behind for too long.
    fn poll_write_limit(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let (since, taken) = *self.behind.get_or_insert_with(|| (Instant::now(), 0));
        let earned = Duration::from_secs_f64(taken as f64 / f64::from(self.limits.read_pace));
        self.writing.poll(cx, since + self.limits.write + earned)
    }

    /// Reads and discards until the caller closes, within bounds.
    fn poll_linger(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let (most, limit) = LINGER;
        let mut chunk = [0; 4096];
        loop {
            let (discarded, since) = *self.lingered.get_or_insert_with(|| (0, Instant::now()));
            let mut buf = ReadBuf::new(&mut chunk);
            match Pin::new(&mut self.inner).poll_read(cx, &mut buf) {
                Poll::Ready(Ok(())) if !buf.filled().is_empty() && discarded < most => {
                    self.lingered = Some((discarded + buf.filled().len(), since));
                }
                Poll::Ready(_) => return Poll::Ready(()),
                Poll::Pending => return self.reading.poll(cx, since + limit),
            }
        }
    }
}

impl AsyncRead for TimedStream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        match Pin::new(&mut this.inner).poll_read(cx, buf) {
            Poll::Pending => this.poll_read_limit(cx),
            Poll::Ready(result) => {
                if buf.filled().len() > before && this.state.phase() == ConnectionPhase::Idle {
                    this.state.enter(ConnectionPhase::Head);
                    this.phase = (ConnectionPhase::Head, Instant::now());
                }
                Poll::Ready(result)
            }
        }
    }
}

impl AsyncWrite for TimedStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.state.phase() == ConnectionPhase::Head {
            // hyper refuses a bad head by itself. What the caller still sends must be read: unread, it would reset the answer.
            this.state.set_unread_body(true);
        }
        let result = Pin::new(&mut this.inner).poll_write(cx, buf);
        this.limit_write(cx, result)
    }

    /// hyper flushes when it has written everything, so the caller is no longer behind.
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let result = Pin::new(&mut this.inner).poll_flush(cx);
        if result.is_ready() {
            this.behind = None;
            return result;
        }
        let flushed = result.map_ok(|()| 0);
        this.limit_write(cx, flushed).map_ok(|_| ())
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.lingered.is_none() {
            let result = Pin::new(&mut this.inner).poll_shutdown(cx).map_ok(|()| 0);
            ready!(this.limit_write(cx, result))?;
        }
        if this.state.has_unread_body() {
            ready!(this.poll_linger(cx));
        }
        Poll::Ready(Ok(()))
    }
}

/// A timer for a deadline that moves. Setting it costs time, so it is set only when a wait begins, and moved only when
/// it must fire earlier or has fired too early.
#[derive(Debug, Default)]
struct Timer(Option<Pin<Box<Sleep>>>);

impl Timer {
    fn poll(&mut self, cx: &mut Context<'_>, deadline: Instant) -> Poll<()> {
        let sleep = self.0.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        if deadline < sleep.deadline() {
            sleep.as_mut().reset(deadline);
        }
        loop {
            ready!(sleep.as_mut().poll(cx));
            if sleep.deadline() >= deadline {
                return Poll::Ready(());
            }
            sleep.as_mut().reset(deadline);
        }
    }
}
