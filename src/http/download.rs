//! Lists as files: streamed chunk by chunk, so that memory stays flat however long they are.

use std::io;

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use futures_util::stream::{self, StreamExt as _};
use http::header;

use super::accept::Form;
use crate::problem::Problem;

/// Streams what `read` gives. It is called with a position, first with `begin`, and returns the text from there and the position
/// of the next text, if there is more.
///
/// The first text is read before the status is sent. A read that fails later aborts the connection, so that a part does not pass
/// for the whole; what was sent until then ends with a whole line.
///
/// # Errors
/// Those of the first read.
pub(super) async fn download<P, F>(
    form: Form,
    begin: P,
    read: impl Fn(P) -> F + Send + 'static,
) -> Result<Response, Problem>
where
    P: Send + 'static,
    F: Future<Output = Result<(String, Option<P>), Problem>> + Send + 'static,
{
    let (first, next) = read(begin).await?;
    let rest = stream::try_unfold(next, move |place| {
        let text = place.map(&read);
        async move {
            match text {
                Some(text) => text.await.map(Some),
                None => Ok(None),
            }
        }
    });
    let texts = stream::iter([Ok(first)]).chain(rest);
    let chunks = texts.map(|text| text.map(Bytes::from).map_err(broken_off));
    let mut response = Response::new(Body::from_stream(chunks));
    response.headers_mut().insert(header::CONTENT_TYPE, form.content_type());
    Ok(response)
}

fn broken_off(problem: Problem) -> io::Error {
    let cause = problem.cause.as_deref().unwrap_or(&problem.detail);
    tracing::warn!(
        event = "download_broken_off",
        cause,
        "a download was broken off: the rest of the list cannot be read"
    );
    io::Error::other(problem.detail)
}
