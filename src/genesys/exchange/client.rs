//! The HTTP clients under the wire: a pool over hyper on the straight way, reqwest through a proxy.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use rustls::ClientConfig;

use super::connector::{Connector, KEEPALIVE, Resolver};
use super::pool::Pool;
use crate::config;
use crate::genesys::error::Cause;

/// Named to the upstream.
pub(super) const AGENT: &str = concat!("hangup/", env!("CARGO_PKG_VERSION"));

/// Connections kept open while idle.
const IDLE_CONNECTIONS: usize = 256;

/// What sends requests.
#[derive(Debug)]
pub(super) enum HttpClient {
    /// Straight to the upstream.
    Direct(Pool),
    /// Through a proxy.
    Proxied(Arc<Proxied>),
}

impl HttpClient {
    /// Makes the client that the settings ask for.
    ///
    /// # Errors
    /// An unusable proxy URL.
    pub(super) fn new(
        settings: &config::Genesys,
        tls: &ClientConfig,
        connect_timeout: Duration,
        resolver: Resolver,
    ) -> Result<Self, String> {
        if settings.proxy.is_some() {
            return Ok(Self::Proxied(Arc::new(Proxied::new(settings.clone(), tls.clone(), connect_timeout)?)));
        }
        let connector = Connector::new(tls, connect_timeout, resolver);
        Ok(Self::Direct(Pool::new(connector, settings.idle_timeout, IDLE_CONNECTIONS)))
    }
}

/// reqwest, which knows how to ask a proxy.
#[derive(Debug)]
pub(super) struct Proxied {
    settings: config::Genesys,
    tls: ClientConfig,
    connect_timeout: Duration,
    /// Keeps connections open.
    pooled: ArcSwap<reqwest::Client>,
    /// Keeps none.
    fresh: reqwest::Client,
}

impl Proxied {
    fn new(settings: config::Genesys, tls: ClientConfig, connect_timeout: Duration) -> Result<Self, String> {
        let client = |idle| client(&settings, &tls, connect_timeout, idle);
        let (pooled, fresh) = (ArcSwap::from_pointee(client(IDLE_CONNECTIONS)?), client(0)?);
        Ok(Self { settings, tls, connect_timeout, pooled, fresh })
    }

    /// Sends a request. One that is given up, or whose connection is lost, closes the idle connections: reqwest does not say
    /// which one it took.
    pub(super) async fn send(&self, request: reqwest::Request, fresh: bool) -> reqwest::Result<reqwest::Response> {
        if fresh {
            return self.fresh.execute(request).await;
        }
        let mut suspicion = ProxiedSuspicion { proxied: self, used: self.pooled.load_full(), cleared: false };
        let answer = suspicion.used.execute(request).await?;
        suspicion.cleared = true;
        Ok(answer)
    }
}

/// Unless it is cleared, replaces the client that was used when this is dropped, and with it all idle connections.
struct ProxiedSuspicion<'a> {
    proxied: &'a Proxied,
    used: Arc<reqwest::Client>,
    cleared: bool,
}

impl Drop for ProxiedSuspicion<'_> {
    fn drop(&mut self) {
        if self.cleared {
            return;
        }
        let Proxied { settings, tls, connect_timeout, pooled, .. } = self.proxied;
        // Once, however many requests were on it. It could be made before, so it can be made again.
        if Arc::ptr_eq(&self.used, &pooled.load())
            && let Ok(client) = client(settings, tls, *connect_timeout, IDLE_CONNECTIONS)
        {
            pooled.store(Arc::new(client));
        }
    }
}

fn client(
    settings: &config::Genesys,
    tls: &ClientConfig,
    connect_timeout: Duration,
    idle: usize,
) -> Result<reqwest::Client, String> {
    let proxy = settings.proxy.as_ref().map_or("", |proxy| proxy.expose());
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
