//! HTTP/1.1 by hand over one connection: for tests to whom bytes matter, such as half a request, a reset or a body cut short,
//! and light enough for thousands of callers.

use std::fmt::Write as _;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

/// Longer than any answer may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// The text of a request; its headers are lines, each with its end.
pub(crate) fn request(method: &str, path: &str, headers: &str, body: Option<&str>) -> String {
    let mut text = format!("{method} {path} HTTP/1.1\r\nhost: localhost\r\n{headers}");
    match (method, body) {
        (_, Some(body)) => {
            let length = body.len();
            write!(text, "content-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}").unwrap();
        }
        ("GET", None) => text.push_str("\r\n"),
        (_, None) => text.push_str("content-length: 0\r\n\r\n"),
    }
    text
}

/// One answer, read to its end.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// Status line and headers, with the empty line after them.
    pub(crate) head: String,
    pub(crate) body: String,
    /// From when it was waited for.
    pub(crate) took: Duration,
}

impl Answer {
    fn of(head: String) -> io::Result<Self> {
        let status = head.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3)?.parse().ok());
        let status = status.ok_or_else(|| io::Error::new(ErrorKind::InvalidData, head.clone()))?;
        Ok(Self { status, head, body: String::new(), took: Duration::ZERO })
    }

    fn length(&self) -> io::Result<usize> {
        let length = match self.header("content-length") {
            Some(length) => length.parse().ok(),
            None => (self.status == 204).then_some(0),
        };
        length
            .ok_or_else(|| io::Error::new(ErrorKind::InvalidData, format!("an answer without a length: {}", self.head)))
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|e| panic!("{e}: {}", self.text()))
    }

    /// All of it.
    pub(crate) fn text(&self) -> String {
        format!("{}{}", self.head, self.body)
    }

    /// `outcome` of a success, `code` of a problem.
    pub(crate) fn word(&self) -> String {
        let json = self.json();
        json["outcome"].as_str().or(json["code"].as_str()).unwrap_or_default().to_owned()
    }

    /// Seconds of `Retry-After`.
    pub(crate) fn retry_after(&self) -> Option<u64> {
        self.header("retry-after")?.parse().ok()
    }

    /// Whether the connection ends with it.
    pub(crate) fn closes(&self) -> bool {
        self.header("connection").is_some_and(|v| v.eq_ignore_ascii_case("close"))
    }
}

/// One connection.
#[derive(Debug)]
pub(crate) struct Wire<S = TcpStream> {
    pub(crate) stream: S,
    /// Read, and not yet part of an answer.
    rest: Vec<u8>,
}

impl Wire {
    pub(crate) async fn connect(addr: SocketAddr) -> io::Result<Self> {
        let connected = timeout(PATIENCE, TcpStream::connect(addr)).await;
        let stream = connected.unwrap_or_else(|_| Err(ErrorKind::TimedOut.into()))?;
        stream.set_nodelay(true)?;
        Ok(Self::over(stream))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Wire<S> {
    pub(crate) fn over(stream: S) -> Self {
        Self { stream, rest: Vec::new() }
    }

    /// Sends this text as it is.
    pub(crate) async fn send(&mut self, text: &str) -> io::Result<()> {
        self.stream.write_all(text.as_bytes()).await
    }

    /// Sends a request and reads its answer.
    pub(crate) async fn exchange(&mut self, request: &str) -> io::Result<Answer> {
        self.send(request).await?;
        self.answer().await
    }

    /// Asks for that path.
    pub(crate) async fn get(&mut self, path: &str) -> io::Result<Answer> {
        self.exchange(&request("GET", path, "", None)).await
    }

    /// Reads one answer with a content length. Where the connection ends too early, the error is what came.
    pub(crate) async fn answer(&mut self) -> io::Result<Answer> {
        let began = Instant::now();
        let answer = timeout(PATIENCE, self.read_answer()).await.unwrap_or_else(|_| Err(ErrorKind::TimedOut.into()))?;
        Ok(Answer { took: began.elapsed(), ..answer })
    }

    async fn read_answer(&mut self) -> io::Result<Answer> {
        let end = loop {
            if let Some(at) = self.rest.windows(4).position(|w| w == b"\r\n\r\n") {
                break at + 4;
            }
            self.read_more().await?;
        };
        let answer = Answer::of(String::from_utf8_lossy(&self.rest[..end]).into_owned())?;
        let whole = end + answer.length()?;
        while self.rest.len() < whole {
            self.read_more().await?;
        }
        let body = String::from_utf8(self.rest[end..whole].to_vec());
        self.rest.drain(..whole);
        let body = body.map_err(|error| io::Error::new(ErrorKind::InvalidData, error))?;
        Ok(Answer { body, ..answer })
    }

    async fn read_more(&mut self) -> io::Result<()> {
        self.rest.reserve(2048);
        match self.stream.read_buf(&mut self.rest).await? {
            0 => Err(io::Error::new(ErrorKind::UnexpectedEof, String::from_utf8_lossy(&self.rest).into_owned())),
            _ => Ok(()),
        }
    }

    /// Waits for the other side to close and returns what came before. A reset counts as closed.
    pub(crate) async fn closed(&mut self) -> Vec<u8> {
        let read = timeout(PATIENCE, self.stream.read_to_end(&mut self.rest)).await;
        let _closed_or_reset = read.unwrap_or_else(|_| panic!("the connection stays open"));
        std::mem::take(&mut self.rest)
    }

    /// Whether nothing, not even the end, arrives for a while. There is no signal for what does not happen; on a slow machine the wait
    /// can only miss a fault, and never fails a good run. Where a later answer shows the same, leave it out.
    pub(crate) async fn is_quiet(&mut self) -> bool {
        self.rest.is_empty() && timeout(Duration::from_millis(200), self.read_more()).await.is_err()
    }
}
