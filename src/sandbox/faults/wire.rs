//! Faulty bodies.

use std::io;
use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::StatusCode;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderValue};

use super::{BodyFault, BodyKind};
use crate::sandbox::answer::Problem;
use crate::sandbox::connection::{End, Link};

const CHUNK: usize = 64 * 1024;
/// Time for a piece of a body to be written to the socket.
const FLUSH: Duration = Duration::from_millis(5);

/// The error page of a gateway.
const HTML: &str = "<!DOCTYPE html>\n<html><head><title>502 Bad Gateway</title></head>\
    <body><h1>502 Bad Gateway</h1><p>nginx</p></body></html>\n";

/// A chunked answer whose second chunk has no size.
const BROKEN_CHUNKS: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n\
    6\r\n{\"id\":\r\nno size\r\n";

/// The answer with another body.
pub(super) async fn replace(real: Response, fault: &BodyFault, link: Option<&Link>) -> Result<Response, Problem> {
    if fault.kind == BodyKind::ChunkError
        && let Some(link) = link
    {
        link.cut(End::Raw(Bytes::from_static(BROKEN_CHUNKS)));
        return std::future::pending().await;
    }
    let (mut parts, body) = real.into_parts();
    parts.status = fault.status.and_then(|s| StatusCode::from_u16(s).ok()).unwrap_or(StatusCode::OK);
    parts.headers.remove(CONTENT_LENGTH);
    let (kind, body) = match fault.kind {
        BodyKind::Truncated => {
            let whole = axum::body::to_bytes(body, usize::MAX).await.unwrap_or_default();
            let whole = if whole.is_empty() { Bytes::from_static(b"{\"id\":\"truncated\"}") } else { whole };
            parts.headers.insert(CONTENT_LENGTH, HeaderValue::from(whole.len()));
            ("application/json", broken_off(whole.slice(..whole.len() / 2)))
        }
        BodyKind::ChunkError => ("application/json", broken_off(Bytes::from_static(b"{\"id\":"))),
        BodyKind::Garbage => ("application/json", Body::from(&b"\xff\xfe{]\x00garbage\xc3\x28"[..])),
        BodyKind::Html => ("text/html; charset=utf-8", Body::from(HTML)),
        BodyKind::Empty => ("application/json", Body::empty()),
        BodyKind::Endless => ("application/json", endless()),
        BodyKind::Sized => {
            parts.headers.insert(CONTENT_LENGTH, HeaderValue::from(fault.bytes.max(2)));
            ("application/json", sized(fault.bytes.max(2)))
        }
    };
    parts.headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    Ok(Response::from_parts(parts, body))
}

/// A body that fails after its first piece; over a socket the connection is closed there.
fn broken_off(first: Bytes) -> Body {
    let failure = stream::once(async {
        // The first piece must have left the buffer; if the body failed at once, nothing would be sent.
        tokio::time::sleep(FLUSH).await;
        Err(io::Error::new(io::ErrorKind::ConnectionReset, "cut off by a fault"))
    });
    Body::from_stream(stream::iter([Ok(first)]).chain(failure))
}

fn endless() -> Body {
    let filling = Bytes::from(vec![b'a'; CHUNK]);
    let pieces = stream::unfold(true, move |first| {
        let piece = if first { Bytes::from_static(b"{\"id\":\"") } else { filling.clone() };
        async move { Some((Ok::<_, io::Error>(piece), false)) }
    });
    Body::from_stream(pieces)
}

/// White space and then an empty object, of this size together.
fn sized(bytes: u64) -> Body {
    let filling = Bytes::from(vec![b' '; CHUNK]);
    let pieces = stream::unfold(bytes, move |left| {
        let filling = filling.clone();
        async move {
            let blank = left.saturating_sub(2);
            let piece = match usize::try_from(blank).unwrap_or(usize::MAX).min(CHUNK) {
                0 if left == 0 => return None,
                0 => return Some((Ok::<_, io::Error>(Bytes::from_static(b"{}")), 0)),
                size => filling.slice(..size),
            };
            let rest = left - piece.len() as u64;
            Some((Ok(piece), rest))
        }
    });
    Body::from_stream(pieces)
}
