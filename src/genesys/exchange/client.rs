//! The HTTP clients under the wire: a pool over hyper on the straight way, reqwest through a proxy.

use std::time::Duration;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::ConfigVerifierExt as _;

use super::connector::{Connector, KEEPALIVE};
use super::pool::Pool;
use crate::config;
use crate::genesys::error::Cause;

/// Named to the upstream.
pub(super) const AGENT: &str = concat!("hangup/", env!("CARGO_PKG_VERSION"));

/// Connections kept open while nobody needs them.
const IDLE_CONNECTIONS: usize = 256;

/// What sends requests.
#[derive(Debug)]
pub(super) enum Client {
    /// Straight to the upstream.
    Direct(Pool),
    /// reqwest, which knows how to ask a proxy.
    Proxied {
        /// Keeps connections open.
        pooled: reqwest::Client,
        /// Keeps none.
        fresh: reqwest::Client,
    },
}

impl Client {
    /// Makes the client that the settings ask for.
    ///
    /// # Errors
    /// An unusable proxy URL.
    pub(super) fn new(
        settings: &config::Genesys,
        tls: &ClientConfig,
        connect_timeout: Duration,
    ) -> Result<Self, String> {
        let Some(proxy) = &settings.proxy else {
            let connector = Connector::new(tls, connect_timeout);
            return Ok(Self::Direct(Pool::new(connector, settings.idle_timeout, IDLE_CONNECTIONS)));
        };
        let client = |idle| proxied(settings, proxy.expose(), tls, connect_timeout, idle);
        Ok(Self::Proxied { pooled: client(IDLE_CONNECTIONS)?, fresh: client(0)? })
    }
}

fn proxied(
    settings: &config::Genesys,
    proxy: &str,
    tls: &ClientConfig,
    connect_timeout: Duration,
    idle: usize,
) -> Result<reqwest::Client, String> {
    let proxy = reqwest::Proxy::all(proxy).map_err(|e| {
        format!("genesys.proxy: no usable proxy URL ({}); write it as \"http://host:port\"", e.without_url())
    })?;
    reqwest::Client::builder()
        .http1_only()
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .referer(false)
        .no_proxy()
        .proxy(proxy)
        .tls_backend_preconfigured(tls.clone())
        .user_agent(AGENT)
        .connect_timeout(connect_timeout)
        .pool_idle_timeout(settings.idle_timeout)
        .pool_max_idle_per_host(idle)
        .tcp_nodelay(true)
        .tcp_keepalive(KEEPALIVE)
        .build()
        .map_err(|e| format!("no HTTP client: {}", Cause::of(&e)))
}

/// The certificates that are trusted: those of `genesys.ca_file`, else the system's.
///
/// # Errors
/// A CA file that cannot be used, or no TLS roots.
pub(super) fn tls(settings: &config::Genesys) -> Result<ClientConfig, String> {
    let Some(path) = &settings.ca_file else {
        return ClientConfig::with_platform_verifier().map_err(|e| format!("no TLS roots: {e}"));
    };
    let unusable = |what: String, remedy: &str| format!("genesys.ca_file = \"{}\": {what}; {remedy}", path.display());
    let pem = std::fs::read(path).map_err(|e| unusable(format!("cannot be read ({e})"), "check the path"))?;
    let mut roots = RootCertStore::empty();
    let all_taken = CertificateDer::pem_slice_iter(&pem).all(|root| root.is_ok_and(|root| roots.add(root).is_ok()));
    if roots.is_empty() || !all_taken {
        return Err(unusable("holds no PEM certificate".to_owned(), "give the CA's certificate"));
    }
    Ok(ClientConfig::builder().with_root_certificates(roots).with_no_client_auth())
}
