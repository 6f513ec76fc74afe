//! Networks: those in the configuration, of trusted proxies and from where a key may be used; and which addresses count as one client.

use std::net::IpAddr;

use ipnet::IpNet;

/// Networks such as `10.0.0.0/8`; an address alone is a network of one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Networks(Vec<IpNet>);

impl Networks {
    /// Reads networks.
    ///
    /// # Errors
    /// The first text that is neither an address nor a network.
    pub(super) fn read(texts: &[String]) -> Result<Self, String> {
        let read = |text: &String| {
            let text = text.trim();
            text.parse().or_else(|_| text.parse::<IpAddr>().map(IpNet::from)).map(canonical).map_err(|_| {
                format!("\"{text}\" is neither an address nor a network; write \"10.1.2.3\" or \"10.0.0.0/8\"")
            })
        };
        texts.iter().map(read).collect::<Result<_, _>>().map(Self)
    }

    /// Whether the address is in one of them. An IPv4 address written as IPv6 is the same address.
    pub(super) fn contain(&self, addr: IpAddr) -> bool {
        let addr = addr.to_canonical();
        self.0.iter().any(|network| network.contains(&addr))
    }
}

/// The addresses that count as one client with this one: an IPv4 address alone, or the /64 of an IPv6 address, which usually belongs
/// to one client.
pub(crate) fn of_one_client(addr: IpAddr) -> IpAddr {
    match addr.to_canonical() {
        IpAddr::V4(v4) => v4.into(),
        IpAddr::V6(v6) => IpAddr::V6((v6.to_bits() >> 64 << 64).into()),
    }
}

/// IPv4 networks written as IPv6 (`::ffff:10.0.0.0/104`) are the same networks.
fn canonical(network: IpNet) -> IpNet {
    let IpNet::V6(wide) = network else { return network };
    let narrow = (wide.prefix_len().checked_sub(96)).zip(wide.network().to_ipv4_mapped());
    narrow.and_then(|(length, addr)| IpNet::new(addr.into(), length).ok()).unwrap_or(network)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ipv4_address_is_one_client_and_so_is_the_64_of_an_ipv6_address() {
        let client = |text: &str| of_one_client(text.parse().unwrap());
        assert_eq!(client("2001:db8:0:1::1"), client("2001:db8:0:1:ffff::2"));
        assert_ne!(client("2001:db8:0:1::1"), client("2001:db8:0:2::1"));
        assert_eq!(client("192.0.2.1"), client("::ffff:192.0.2.1"));
        assert_ne!(client("192.0.2.1"), client("192.0.2.2"));
        assert_ne!(client("::ffff:192.0.2.1"), client("::"), "an IPv4 address is no part of an IPv6 network");
    }

    #[test]
    fn an_ipv4_network_is_the_same_however_it_is_written() {
        for text in ["10.1.0.0/16", "::ffff:10.1.0.0/112", "::ffff:10.1.2.3", " 10.1.2.3 "] {
            let networks = Networks::read(&[text.to_owned()]).unwrap();
            assert!(networks.contain("10.1.2.3".parse().unwrap()), "{text}");
            assert!(networks.contain("::ffff:10.1.2.3".parse().unwrap()), "{text}");
            assert!(!networks.contain("10.2.2.3".parse().unwrap()), "{text}");
            assert!(!networks.contain("2001:db8::1".parse().unwrap()), "{text}");
        }
        let all = Networks::read(&["::/0".to_owned()]).unwrap();
        assert!(all.contain("2001:db8::1".parse().unwrap()) && !all.contain("10.1.2.3".parse().unwrap()));
    }
}
