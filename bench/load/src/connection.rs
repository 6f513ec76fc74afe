//! One kept HTTP/1.1 connection, blocking.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// Longer than any answer may take.
const PATIENCE: Duration = Duration::from_secs(15);
const PARTICIPANT: &str = "0a1b2c3d-4e5f-4a6b-8c7d-9e0f1a2b3c4d";
const BODY: &str = r#"{"reason":"user_request"}"#;

/// Connects when it is first used, and anew after a failure.
#[derive(Debug)]
pub struct Connection {
    addr: SocketAddr,
    /// What follows the path in each request.
    rest: String,
    stream: Option<BufReader<TcpStream>>,
}

impl Connection {
    /// To `addr`, with this key of a caller.
    pub fn new(addr: SocketAddr, key: &str) -> Self {
        let rest = format!(
            " HTTP/1.1\r\nHost: {addr}\r\nX-API-Key: {key}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{BODY}",
            BODY.len()
        );
        Self { addr, rest, stream: None }
    }

    /// Disconnects, and returns the status of the answer once all of it has been read.
    ///
    /// # Errors
    /// No connection, or no whole answer.
    pub fn disconnect(&mut self, conversation: &str) -> io::Result<u16> {
        let mut stream = match self.stream.take() {
            Some(stream) => stream,
            None => self.connect()?,
        };
        let request = format!("POST /conversations/{conversation}/participants/{PARTICIPANT}/disconnect{}", self.rest);
        stream.get_mut().write_all(request.as_bytes())?;
        let status = read_answer(&mut stream)?;
        self.stream = Some(stream);
        Ok(status)
    }

    fn connect(&self) -> io::Result<BufReader<TcpStream>> {
        let stream = TcpStream::connect_timeout(&self.addr, PATIENCE)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(BufReader::new(stream))
    }
}

/// Reads one answer, its body by `Content-Length` or in chunks.
fn read_answer(stream: &mut impl BufRead) -> io::Result<u16> {
    let broken = || io::Error::new(io::ErrorKind::InvalidData, "no HTTP answer");
    let mut line = String::new();
    next_line(stream, &mut line)?;
    let status = line.split(' ').nth(1).and_then(|code| code.parse().ok()).ok_or_else(broken)?;
    let (mut length, mut chunked) = (0, false);
    loop {
        next_line(stream, &mut line)?;
        if line.is_empty() {
            break;
        }
        let (name, value) = line.split_once(':').ok_or_else(broken)?;
        if name.eq_ignore_ascii_case("content-length") {
            length = value.trim().parse().map_err(|_| broken())?;
        }
        chunked |= name.eq_ignore_ascii_case("transfer-encoding") && value.trim().eq_ignore_ascii_case("chunked");
    }
    if !chunked {
        skip(stream, length)?;
        return Ok(status);
    }
    loop {
        next_line(stream, &mut line)?;
        let size = u64::from_str_radix(line.split(';').next().unwrap_or_default().trim(), 16).map_err(|_| broken())?;
        skip(stream, size)?;
        next_line(stream, &mut line)?;
        if size == 0 {
            return Ok(status);
        }
    }
}

fn next_line(stream: &mut impl BufRead, line: &mut String) -> io::Result<()> {
    line.clear();
    if stream.read_line(line)? == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    line.truncate(line.trim_end().len());
    Ok(())
}

fn skip(stream: &mut impl BufRead, bytes: u64) -> io::Result<()> {
    let skipped = io::copy(&mut stream.take(bytes), &mut io::sink())?;
    if skipped == bytes { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
}
