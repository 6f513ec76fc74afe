//! A caller that sees resets as resets, and light enough for thousands.

use std::io;
use std::net::SocketAddr;

use tokio::time::Instant;

use super::shared::wire::{Wire, request};

pub(crate) use super::shared::wire::Answer;

/// A caller with one connection, which it opens anew when the service has announced its end.
#[derive(Debug)]
pub(crate) struct Caller {
    addr: SocketAddr,
    wire: Option<Wire>,
    /// More header lines, each with its line end.
    pub(crate) headers: String,
}

impl Caller {
    pub(crate) fn new(addr: SocketAddr) -> Self {
        Self { addr, wire: None, headers: String::new() }
    }

    /// Another caller with the same headers, without a connection yet.
    pub(crate) fn fresh(&self) -> Self {
        Self { headers: self.headers.clone(), ..Self::new(self.addr) }
    }

    /// Its connection, opened where there is none, for what is less than a request or more than an answer.
    pub(crate) async fn connect(&mut self) -> io::Result<&mut Wire> {
        if self.wire.is_none() {
            self.wire = Some(Wire::connect(self.addr).await?);
        }
        self.wire.as_mut().ok_or_else(|| io::ErrorKind::NotConnected.into())
    }

    pub(crate) async fn get(&mut self, path: &str) -> io::Result<Answer> {
        self.send("GET", path, None).await
    }

    pub(crate) async fn post(&mut self, path: &str) -> io::Result<Answer> {
        self.send("POST", path, None).await
    }

    /// Sends a request and waits for no answer.
    pub(crate) async fn begin(&mut self, method: &str, path: &str, body: Option<&str>) -> io::Result<()> {
        let request = request(method, path, &self.headers, body);
        self.connect().await?.send(&request).await
    }

    /// Sends a request and reads its answer. After an error the connection is gone.
    pub(crate) async fn send(&mut self, method: &str, path: &str, body: Option<&str>) -> io::Result<Answer> {
        let began = Instant::now();
        let exchange = async {
            self.begin(method, path, body).await?;
            self.connect().await?.answer().await
        };
        let answer = exchange.await.map(|answer| Answer { took: began.elapsed(), ..answer });
        if answer.as_ref().map_or(true, Answer::closes) {
            self.wire = None;
        }
        answer
    }
}
