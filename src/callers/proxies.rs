//! The caller's address behind reverse proxies, for logs only: nothing is ever allowed because of it.

use std::net::IpAddr;

use http::HeaderMap;
use ipnet::IpNet;

use crate::config::ConfigError;

/// The proxies whose word about the caller's address is believed.
#[derive(Debug, Clone, Default)]
pub struct TrustedProxies(Vec<IpNet>);

impl TrustedProxies {
    /// From `server.trusted_proxies`: addresses or networks (`10.0.0.0/8`).
    ///
    /// # Errors
    /// One that is neither.
    pub fn new(list: &[String]) -> Result<Self, ConfigError> {
        let read = |text: &String| {
            let text = text.trim();
            text.parse().or_else(|_| text.parse::<IpAddr>().map(IpNet::from)).map_err(|_| {
                ConfigError(format!(
                    "server.trusted_proxies: \"{text}\" is neither an address nor a network; write \"10.1.2.3\" or \"10.0.0.0/8\""
                ))
            })
        };
        list.iter().map(read).collect::<Result<_, _>>().map(Self)
    }

    fn trusts(&self, addr: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(&addr))
    }

    /// The address of the caller of a request that came from `peer`: the last one in `Forwarded` (else
    /// `X-Forwarded-For`) that no trusted proxy has, read from the right, where what we trust was added.
    #[must_use]
    pub fn caller_addr(&self, headers: &HeaderMap, peer: IpAddr) -> IpAddr {
        let mut addr = peer.to_canonical();
        if self.0.is_empty() || !self.trusts(addr) {
            return addr;
        }
        let forwarded: Vec<&str> = elements(headers, "forwarded");
        let hops: Vec<Option<IpAddr>> = if forwarded.is_empty() {
            elements(headers, "x-forwarded-for").into_iter().map(address).collect()
        } else {
            forwarded.into_iter().map(forwarded_for).collect()
        };
        for hop in hops.into_iter().rev() {
            // What cannot be read ends the chain: beyond it nobody vouches for anything.
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
fn elements<'a>(headers: &'a HeaderMap, name: &str) -> Vec<&'a str> {
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
        let trusted = TrustedProxies::new(&["10.0.0.0/8".to_owned(), "192.0.2.7".to_owned(), "fd00::/8".to_owned()]);
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
    fn forwarded_is_understood_and_comes_first() {
        let both =
            [("forwarded", "for=\"[2001:db8::1]:4711\";proto=https, for=10.2.2.2"), ("x-forwarded-for", "1.1.1.1")];
        assert_eq!(caller("10.1.1.1", &both), "2001:db8::1");
        assert_eq!(caller("10.1.1.1", &[("forwarded", "for=unknown")]), "10.1.1.1");
    }

    #[test]
    fn nonsense_in_the_configuration_is_named() {
        let error = TrustedProxies::new(&["proxy.internal".to_owned()]).unwrap_err().to_string();
        assert!(error.contains("server.trusted_proxies: \"proxy.internal\""), "{error}");
    }
}
