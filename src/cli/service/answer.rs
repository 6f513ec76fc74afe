//! What a service answers: read as a whole, or line by line as it comes, so that memory stays flat however long a list is.

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, Response};
use http_body_util::{BodyExt as _, Limited};

use crate::cli::Failure;

/// A longer line is none of ours.
const LONGEST_LINE: usize = 4 * 1024 * 1024;

/// An answer whose body is yet to be read.
pub(in crate::cli) struct ServiceAnswer {
    pub(in crate::cli) status: u16,
    headers: HeaderMap,
    body: Body,
    /// Read, and not yet given as a line.
    rest: BytesMut,
}

impl ServiceAnswer {
    pub(super) fn of(answer: Response<Body>) -> Self {
        let (head, body) = answer.into_parts();
        Self { status: head.status.as_u16(), headers: head.headers, body, rest: BytesMut::new() }
    }

    /// A header that is a text, or nothing.
    pub(in crate::cli) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map(HeaderValue::to_str).and_then(Result::ok).unwrap_or_default()
    }

    /// All of the body.
    ///
    /// # Errors
    /// It breaks off, or is longer than `longest`.
    pub(in crate::cli) async fn bytes(self, longest: usize) -> Result<Bytes, Failure> {
        let broken = |_| Failure::failed("the service's answer was cut off, or is too long");
        Ok(Limited::new(self.body, longest).collect().await.map_err(broken)?.to_bytes())
    }

    /// The next line, without its end; `None` after the last one.
    ///
    /// # Errors
    /// It breaks off: there are more lines, which did not come.
    pub(in crate::cli) async fn line(&mut self) -> Result<Option<Bytes>, Failure> {
        let broken = || Failure::failed("the service's answer was cut off: this is not all of it; ask again");
        let mut searched = 0;
        loop {
            let unseen = self.rest.get(searched..).unwrap_or_default();
            if let Some(end) = unseen.iter().position(|byte| *byte == b'\n') {
                let line = self.rest.split_to(searched + end + 1);
                return Ok(Some(line.freeze().slice(..searched + end)));
            }
            searched = self.rest.len();
            if searched > LONGEST_LINE {
                return Err(broken());
            }
            match self.body.frame().await {
                Some(Ok(frame)) => self.rest.extend_from_slice(&frame.into_data().unwrap_or_default()),
                Some(Err(_)) => return Err(broken()),
                None if self.rest.is_empty() => return Ok(None),
                None => return Ok(Some(self.rest.split().freeze())),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use futures_util::stream;

    use super::*;

    async fn lines(chunks: Vec<io::Result<&'static str>>) -> (Vec<String>, bool) {
        let mut answer = ServiceAnswer::of(Response::new(Body::from_stream(stream::iter(chunks))));
        let mut lines = Vec::new();
        loop {
            match answer.line().await {
                Ok(Some(line)) => lines.push(String::from_utf8(line.to_vec()).unwrap()),
                Ok(None) => return (lines, true),
                Err(_) => return (lines, false),
            }
        }
    }

    #[tokio::test]
    async fn lines_come_whole_however_they_are_cut_on_the_way() {
        for chunks in [vec!["one\ntwo\n\nthree"], vec!["on", "e\nt", "wo\n", "", "\nthr", "ee"]] {
            let whole = lines(chunks.into_iter().map(Ok).collect()).await;
            assert_eq!(whole, (["one", "two", "", "three"].map(str::to_owned).to_vec(), true));
        }
        assert_eq!(lines(vec![]).await, (vec![], true));
    }

    #[tokio::test]
    async fn what_breaks_off_is_not_taken_for_the_whole() {
        let cut = lines(vec![Ok("one\ntw"), Err(io::Error::other("reset"))]).await;
        assert_eq!(cut, (vec!["one".to_owned()], false));
    }
}
