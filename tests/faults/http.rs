//! A caller that speaks HTTP by hand: light enough for thousands, and it sees resets as resets.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

/// Longer than any answer may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// One answer, read to its end.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
    pub(crate) took: Duration,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{e}: {}", self.text()))
    }

    pub(crate) fn text(&self) -> String {
        format!("{}{}", self.head, String::from_utf8_lossy(&self.body))
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

    fn closes(&self) -> bool {
        self.header("connection").is_some_and(|v| v.eq_ignore_ascii_case("close"))
    }
}

/// A caller with one connection, which it opens anew when the service has announced its end.
#[derive(Debug)]
pub(crate) struct Caller {
    pub(crate) addr: SocketAddr,
    stream: Option<TcpStream>,
    rest: Vec<u8>,
    /// More header lines, each with its line end.
    pub(crate) headers: String,
}

impl Caller {
    pub(crate) fn new(addr: SocketAddr) -> Self {
        Self { addr, stream: None, rest: Vec::new(), headers: String::new() }
    }

    /// Another caller with the same headers, without a connection yet.
    pub(crate) fn fresh(&self) -> Self {
        Self { headers: self.headers.clone(), ..Self::new(self.addr) }
    }

    /// Opens the connection, without a request.
    pub(crate) async fn connect(&mut self) -> io::Result<&mut TcpStream> {
        if self.stream.is_none() {
            let stream = TcpStream::connect(self.addr).await?;
            stream.set_nodelay(true)?;
            self.rest.clear();
            self.stream = Some(stream);
        }
        self.stream.as_mut().ok_or_else(|| io::ErrorKind::NotConnected.into())
    }

    pub(crate) async fn get(&mut self, path: &str) -> io::Result<Answer> {
        self.send("GET", path, None).await
    }

    pub(crate) async fn post(&mut self, path: &str) -> io::Result<Answer> {
        self.send("POST", path, None).await
    }

    /// Sends the bytes as they are and gives no answer back.
    pub(crate) async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.connect().await?.write_all(bytes).await
    }

    /// Hangs up.
    pub(crate) fn hang_up(&mut self) {
        self.stream = None;
    }

    pub(crate) fn head(&self, method: &str, path: &str, body: Option<&str>) -> String {
        let length = match (body, method) {
            (Some(body), _) => format!("content-type: application/json\r\ncontent-length: {}\r\n", body.len()),
            (None, "GET") => String::new(),
            (None, _) => "content-length: 0\r\n".to_owned(),
        };
        let (addr, headers) = (self.addr, &self.headers);
        format!("{method} {path} HTTP/1.1\r\nhost: {addr}\r\n{headers}{length}\r\n{}", body.unwrap_or_default())
    }

    /// Sends a request and reads its answer. After an error the connection is gone.
    pub(crate) async fn send(&mut self, method: &str, path: &str, body: Option<&str>) -> io::Result<Answer> {
        let began = Instant::now();
        let request = self.head(method, path, body);
        let exchange = async {
            self.write(request.as_bytes()).await?;
            self.answer(began).await
        };
        let answer = timeout(PATIENCE, exchange).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
        if answer.as_ref().map_or(true, Answer::closes) {
            self.hang_up();
        }
        answer
    }

    /// Reads one answer.
    pub(crate) async fn answer(&mut self, began: Instant) -> io::Result<Answer> {
        let stream = self.stream.as_mut().ok_or(io::ErrorKind::NotConnected)?;
        let rest = &mut self.rest;
        let end = loop {
            if let Some(at) = rest.windows(4).position(|w| w == b"\r\n\r\n") {
                break at + 4;
            }
            more(stream, rest).await?;
        };
        let head = String::from_utf8_lossy(&rest[..end]).into_owned();
        let status = head.get(9..12).and_then(|s| s.parse().ok()).ok_or(io::ErrorKind::InvalidData)?;
        let mut answer = Answer { status, head, body: Vec::new(), took: Duration::ZERO };
        let length: usize = match answer.header("content-length") {
            Some(length) => length.parse().map_err(|_| io::ErrorKind::InvalidData)?,
            None if status == 204 => 0,
            None => return Err(io::Error::new(io::ErrorKind::InvalidData, "an answer without a length")),
        };
        while rest.len() < end + length {
            more(stream, rest).await?;
        }
        answer.body = rest[end..end + length].to_vec();
        rest.drain(..end + length);
        answer.took = began.elapsed();
        Ok(answer)
    }
}

async fn more(stream: &mut TcpStream, rest: &mut Vec<u8>) -> io::Result<()> {
    rest.reserve(2048);
    match stream.read_buf(rest).await? {
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        _ => Ok(()),
    }
}
