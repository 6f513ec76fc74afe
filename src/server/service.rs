//! The router as hyper's service: adds the peer, and tells the connection's state when a request begins and ends.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use bytes::Bytes;
use hyper::body::{Body as HttpBody, Frame, Incoming, SizeHint};

use super::HttpService;
use super::peer::Peer;
use super::phase::{ConnectionPhase, ConnectionState};

/// Answers one request.
pub(super) async fn call(
    mut app: impl HttpService,
    peer: Peer,
    state: Arc<ConnectionState>,
    request: axum::http::Request<Incoming>,
) -> Result<Response<AnswerBody>, Infallible> {
    state.enter(ConnectionPhase::Busy);
    let unread = !request.is_end_stream();
    state.set_unread_body(unread);
    let (mut head, body) = request.into_parts();
    head.extensions.insert(peer);
    let body = if unread { Body::new(RequestBody { inner: body, state: Arc::clone(&state) }) } else { Body::empty() };
    let answer = app.call(Request::from_parts(head, body)).await?;
    Ok(answer.map(|inner| AnswerBody { inner, state }))
}

/// The body of a request, which notes when it has been read to its end.
struct RequestBody {
    inner: Incoming,
    state: Arc<ConnectionState>,
}

impl HttpBody for RequestBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let this = self.get_mut();
        let frame = Pin::new(&mut this.inner).poll_frame(cx);
        if matches!(frame, Poll::Ready(None)) || this.inner.is_end_stream() {
            this.state.set_unread_body(false);
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// The body of an answer. When it is dropped, the connection waits for the next request.
pub(super) struct AnswerBody {
    inner: Body,
    state: Arc<ConnectionState>,
}

impl HttpBody for AnswerBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.get_mut().inner).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

impl Drop for AnswerBody {
    fn drop(&mut self) {
        self.state.enter(ConnectionPhase::Idle);
    }
}
