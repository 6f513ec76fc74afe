//! A stream that limits times: of a request head, of idleness, of an answer that is not taken.
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
use super::phase::{Phase, State};
use super::refusal::substitute;
use super::transport::Transport;

/// After an answer to a request whose body was not read: so much of it is discarded, for so long, before the close.
/// Closing at once would reset the connection and could destroy the answer on its way.
const LINGER: (usize, Duration) = (8 << 20, Duration::from_secs(2));

#[derive(Debug)]
pub(super) struct Watched {
    inner: Transport,
    state: Arc<State>,
    settings: ServeSettings,
    reading: Limit,
    writing: Limit,
    /// The phase of the last read that had to wait, and since when.
    phase: (Phase, Instant),
    blocked_since: Option<Instant>,
    /// An answer written instead of hyper's own, and how much of it has gone.
    substitute: Option<(Vec<u8>, usize)>,
    lingered: Option<(usize, Instant)>,
}

impl Watched {
    pub(super) fn new(inner: Transport, state: Arc<State>, settings: ServeSettings) -> Self {
        Self {
            inner,
            state,
            settings,
            reading: Limit::default(),
            writing: Limit::default(),
            phase: (Phase::Head, Instant::now()),
            blocked_since: None,
            substitute: None,
            lingered: None,
        }
    }

    /// A read has to wait: ready when it has waited for too long in this phase, or has nothing to wait for.
    fn poll_read_limit(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let phase = self.state.phase();
        if phase == Phase::Busy {
            // The handler limits the time for a body.
            return Poll::Pending;
        }
        if self.state.is_stopping() {
            return Poll::Ready(Ok(()));
        }
        if self.phase.0 != phase {
            self.phase = (phase, Instant::now());
        }
        let limit = if phase == Phase::Idle { self.settings.idle_timeout } else { self.settings.header_timeout };
        ready!(self.reading.poll(cx, self.phase.1 + limit));
        if phase == Phase::Idle {
            return Poll::Ready(Ok(()));
        }
        self.settings.stats.connection_cut();
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "no whole request head in time")))
    }

    /// Passes on how a write went, and fails it when nothing has moved for too long.
    fn limit_write<T>(&mut self, cx: &mut Context<'_>, result: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if result.is_ready() {
            self.blocked_since = None;
            return result;
        }
        let since = *self.blocked_since.get_or_insert_with(Instant::now);
        ready!(self.writing.poll(cx, since + self.settings.write_timeout));
        self.settings.stats.connection_cut();
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the answer is not taken")))
    }

    /// Writes the substitute, and says that all of `written` has gone once all of it has.
    fn poll_write_substitute(&mut self, cx: &mut Context<'_>, written: usize) -> Poll<io::Result<usize>> {
        while let Some((answer, gone)) = &mut self.substitute {
            let rest = answer.get(*gone..).unwrap_or_default();
            if rest.is_empty() {
                self.substitute = None;
                break;
            }
            match ready!(Pin::new(&mut self.inner).poll_write(cx, rest))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                count => *gone += count,
            }
        }
        Poll::Ready(Ok(written))
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

impl AsyncRead for Watched {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        match Pin::new(&mut this.inner).poll_read(cx, buf) {
            Poll::Pending => this.poll_read_limit(cx),
            Poll::Ready(result) => {
                if buf.filled().len() > before && this.state.phase() == Phase::Idle {
                    this.state.enter(Phase::Head);
                    this.phase = (Phase::Head, Instant::now());
                }
                Poll::Ready(result)
            }
        }
    }
}

impl AsyncWrite for Watched {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.substitute.is_none() && this.state.phase() != Phase::Busy {
            this.substitute = substitute(buf, this.settings.refusal_body).map(|answer| (answer, 0));
            if this.substitute.is_some() {
                this.settings.stats.head_refused();
                // What the caller still sends is not wanted, but must not reset the answer.
                this.state.set_unread_body(true);
            }
        }
        let result = if this.substitute.is_some() {
            this.poll_write_substitute(cx, buf.len())
        } else {
            Pin::new(&mut this.inner).poll_write(cx, buf)
        };
        this.limit_write(cx, result)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let result = Pin::new(&mut this.inner).poll_flush(cx);
        this.limit_write(cx, result)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.lingered.is_none() {
            let result = Pin::new(&mut this.inner).poll_shutdown(cx);
            ready!(this.limit_write(cx, result))?;
        }
        if this.state.has_unread_body() {
            ready!(this.poll_linger(cx));
        }
        Poll::Ready(Ok(()))
    }
}

/// A moment after which a wait is over. The timer is set only when a wait begins and moved only when it must ring
/// earlier or has rung too early, so that a busy connection does not touch it.
#[derive(Debug, Default)]
struct Limit(Option<Pin<Box<Sleep>>>);

impl Limit {
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
