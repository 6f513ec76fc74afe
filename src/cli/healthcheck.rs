//! `hangup healthcheck`: the container's health check, by the same binary and the same configuration.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use super::Failure;
use crate::config::Config;
use crate::crypto_provider;
use crate::genesys::error::Cause;

/// Longest wait for the answer.
const PATIENCE: Duration = Duration::from_secs(3);

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Question {
    /// `/livez` of the service.
    Lives,
    /// `/readyz` of the service.
    Ready,
    /// The sandbox's clock, which no fault and no rate limit touches.
    Sandbox,
}

/// Where a running process on this machine answers this question: its base URL, and the path.
pub(super) fn url(config: &Config, question: Question) -> Result<(String, &'static str), Failure> {
    let (bind, path) = match question {
        Question::Lives => (config.admin.bind.unwrap_or(config.server.bind), "/livez"),
        Question::Ready => (config.admin.bind.unwrap_or(config.server.bind), "/readyz"),
        Question::Sandbox => (config.sandbox.bind, "/sandbox/clock"),
    };
    let tls = question != Question::Sandbox && config.admin.bind.is_none() && config.server.tls.cert.is_some();
    if tls && config.server.tls.client_ca.is_some() {
        return Err(Failure::unusable(
            "with server.tls.client_ca the main port wants a client certificate; set admin.bind for the health check",
        ));
    }
    Ok((format!("{}://{}", if tls { "https" } else { "http" }, reachable(bind)), path))
}

/// Where callers reach the service that runs on this machine: its main address, for the administrators' has neither jobs nor search.
pub(super) fn main_url(config: &Config) -> String {
    let scheme = if config.server.tls.cert.is_some() { "https" } else { "http" };
    format!("{scheme}://{}", reachable(config.server.bind))
}

/// Asks a running process on this machine.
pub(super) async fn run(config: Config, question: Question) -> Result<(), Failure> {
    let (base, path) = url(&config, question)?;
    let (tls, url) = (base.starts_with("https"), format!("{base}{path}"));
    crypto_provider::install();
    let client = reqwest::Client::builder()
        .no_proxy()
        .timeout(PATIENCE)
        .redirect(reqwest::redirect::Policy::none())
        // It asks its own process over loopback; the certificate names the public host.
        .tls_danger_accept_invalid_certs(tls)
        .build()
        .map_err(|e| Failure::failed(e.to_string()))?;
    let answer = client.get(&url).send().await.map_err(|e| {
        let cause = Cause::of(&e.without_url());
        Failure::failed(format!("{url} does not answer: {cause}; check that it runs, and with this configuration"))
    })?;
    let status = answer.status();
    let body = answer.text().await.unwrap_or_default();
    if status.is_success() {
        println!("{body}");
        return Ok(());
    }
    Err(Failure::failed(format!("{url} answers {}: {body}", status.as_u16())))
}

/// An address that can be connected to: loopback where we listen everywhere.
fn reachable(bind: SocketAddr) -> SocketAddr {
    let ip = match bind.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, bind.port())
}
