//! The caller's address behind reverse proxies: for records, for slowing down wrong keys, and for the `addresses` of keys.

use std::net::IpAddr;

use http::header::FORWARDED;
use http::{HeaderMap, HeaderName};

use super::networks::Networks;
use crate::config::{self, ConfigError};

/// The trusted proxies, and the one header in which they give the caller's address.
#[derive(Debug, Clone)]
pub struct TrustedProxies {
    networks: Networks,
    header: HeaderName,
}

impl Default for TrustedProxies {
    /// No proxies.
    fn default() -> Self {
        Self { networks: Networks::default(), header: HeaderName::from_static("x-forwarded-for") }
    }
}

impl TrustedProxies {
    /// The header in which they name the caller.
    #[must_use]
    pub fn header(&self) -> &HeaderName {
        &self.header
    }

    /// From `server.trusted_proxies`, addresses or networks (`10.0.0.0/8`), and `server.forwarded_header`.
    ///
    /// # Errors
    /// A network or a header name that is not valid.
    pub fn new(server: &config::Server) -> Result<Self, ConfigError> {
        let networks = Networks::read(&server.trusted_proxies.0)
            .map_err(|wrong| ConfigError(format!("server.trusted_proxies: {wrong}")))?;
        let header = server.forwarded_header.parse().map_err(|_| {
            ConfigError(format!(
                "server.forwarded_header = \"{}\": is not the name of a header",
                server.forwarded_header
            ))
        })?;
        Ok(Self { networks, header })
    }

    /// Whether this address is a trusted proxy's.
    #[must_use]
    pub fn trusts(&self, addr: IpAddr) -> bool {
        self.networks.contain(addr)
    }

    /// The address of the caller of a request that came from `peer`: the first one in the configured header, read from
    /// the right, that is not a trusted proxy's. Proxies append on the right; anything further left, and every other
    /// header, comes from the client and proves nothing.
    #[must_use]
    pub fn caller_addr(&self, headers: &HeaderMap, peer: IpAddr) -> IpAddr {
        let mut addr = peer.to_canonical();
        if !self.trusts(addr) {
            return addr;
        }
        let read = if self.header == FORWARDED { forwarded_for } else { address };
        for hop in elements(headers, &self.header).into_iter().rev().map(read) {
            // An unreadable element ends the chain: no trusted proxy vouches for anything further left.
            let Some(hop) = hop else { break };
            addr = hop;
            if !self.trusts(addr) {
                break;
            }
        }
        addr
    }
}

/// The elements of a list header, over all its lines, in order.
fn elements<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Vec<&'a str> {
    let lines = headers.get_all(name).iter();
    lines.flat_map(|line| line.to_str().unwrap_or("unreadable").split(',')).map(str::trim).collect()
}

/// The address in `for=` of one element of `Forwarded`.
fn forwarded_for(element: &str) -> Option<IpAddr> {
    let mut pairs = element.split(';').filter_map(|pair| pair.split_once('='));
    let (_, node) = pairs.find(|(name, _)| name.trim().eq_ignore_ascii_case("for"))?;
    address(node.trim().trim_matches('"'))
}

/// An address, with or without a port and brackets.
fn address(text: &str) -> Option<IpAddr> {
    if let Ok(addr) = text.parse::<IpAddr>() {
        return Some(addr.to_canonical());
    }
    let bare = match text.strip_prefix('[') {
        Some(rest) => rest.split_once(']')?.0,
        None => text.split_once(':')?.0,
    };
    bare.parse::<IpAddr>().ok().map(|addr| addr.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caller(peer: &str, headers: &[(&'static str, &str)]) -> String {
        caller_by("x-forwarded-for", peer, headers)
    }

    /// The caller's address where proxies give it in `header`.
    fn caller_by(header: &str, peer: &str, headers: &[(&'static str, &str)]) -> String {
        let mut server = config::Config::defaults().server;
        server.trusted_proxies.0 = vec!["10.0.0.0/8".to_owned(), "192.0.2.7".to_owned(), "fd00::/8".to_owned()];
        server.forwarded_header = header.to_owned();
        let trusted = TrustedProxies::new(&server);
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, value.parse().unwrap());
        }
        trusted.unwrap().caller_addr(&map, peer.parse().unwrap()).to_string()
    }

    #[test]
    fn only_trusted_proxies_are_believed() {
        let spoofed = [("x-forwarded-for", "198.51.100.1")];
        assert_eq!(caller("203.0.113.9", &spoofed), "203.0.113.9");
        assert_eq!(caller("10.1.1.1", &spoofed), "198.51.100.1");
        assert_eq!(caller("::ffff:10.1.1.1", &spoofed), "198.51.100.1");
        assert_eq!(caller("10.1.1.1", &[]), "10.1.1.1");
    }

    #[test]
    fn the_chain_is_read_from_the_right_to_the_first_stranger() {
        let chain = [("x-forwarded-for", "1.1.1.1, 198.51.100.1"), ("x-forwarded-for", "192.0.2.7")];
        assert_eq!(caller("10.1.1.1", &chain), "198.51.100.1");
        assert_eq!(caller("10.1.1.1", &[("x-forwarded-for", "10.9.9.9, 10.8.8.8")]), "10.9.9.9");
        assert_eq!(caller("10.1.1.1", &[("x-forwarded-for", "1.1.1.1, garbage, 10.8.8.8")]), "10.8.8.8");
        assert_eq!(caller("10.1.1.1", &[("x-forwarded-for", "198.51.100.1:4711")]), "198.51.100.1");
    }

    #[test]
    fn forwarded_is_understood_where_the_proxies_set_it() {
        let chain = [("forwarded", "for=\"[2001:db8::1]:4711\";proto=https, for=10.2.2.2")];
        assert_eq!(caller_by("Forwarded", "10.1.1.1", &chain), "2001:db8::1");
        assert_eq!(caller_by("forwarded", "10.1.1.1", &[("forwarded", "for=unknown")]), "10.1.1.1");
        assert_eq!(caller_by("x-real-ip", "10.1.1.1", &[("x-real-ip", "198.51.100.1")]), "198.51.100.1");
    }

    #[test]
    fn a_header_that_the_proxies_do_not_set_comes_from_the_client_and_says_nothing() {
        let both = [("forwarded", "for=198.51.100.66"), ("x-forwarded-for", "198.51.100.1")];
        assert_eq!(caller("10.1.1.1", &both), "198.51.100.1");
        assert_eq!(caller("10.1.1.1", &both[..1]), "10.1.1.1");
        assert_eq!(caller_by("forwarded", "10.1.1.1", &both), "198.51.100.66");
        assert_eq!(caller_by("x-real-ip", "10.1.1.1", &both), "10.1.1.1");
    }
}
