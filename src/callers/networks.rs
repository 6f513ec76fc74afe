//! Addresses and networks of the configuration: whom a key may be used by.

use std::net::IpAddr;

use ipnet::IpNet;

/// Networks such as `10.0.0.0/8`; an address alone is a network of one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Networks(Vec<IpNet>);

impl Networks {
    /// The networks of these texts.
    ///
    /// # Errors
    /// The first text that is neither an address nor a network.
    pub(super) fn read(texts: &[String]) -> Result<Self, String> {
        let read = |text: &String| {
            let text = text.trim();
            text.parse().or_else(|_| text.parse::<IpAddr>().map(IpNet::from)).map_err(|_| {
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
