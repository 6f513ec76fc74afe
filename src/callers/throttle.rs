//! Slows down addresses that send wrong credentials, in bounded memory.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use parking_lot::Mutex;

use super::networks::of_one_client;
use super::rate::Limiter;
use crate::config::value::Rate;

/// Addresses of one generation. Two generations are kept, so that memory stays under 4 MiB; beyond that the addresses
/// that failed least recently are forgotten.
const GENERATION: usize = 8192;

#[derive(Debug)]
pub(super) struct Throttle {
    rate: Rate,
    addresses: Mutex<Addresses>,
}

#[derive(Debug, Default)]
struct Addresses {
    current: HashMap<IpAddr, Limiter>,
    previous: HashMap<IpAddr, Limiter>,
}

impl Throttle {
    pub(super) fn new(rate: Rate) -> Self {
        Self { rate, addresses: Mutex::default() }
    }

    /// Counts one wrong credential of this address, while this many replicas are alive.
    ///
    /// # Errors
    /// The address has sent too many; the time until it may try again.
    pub(super) fn count(&self, addr: IpAddr, replicas: usize) -> Result<(), Duration> {
        let key = of_one_client(addr);
        let mut addresses = self.addresses.lock();
        if !addresses.current.contains_key(&key) {
            if addresses.current.len() >= GENERATION {
                addresses.previous = std::mem::take(&mut addresses.current);
            }
            let limiter = addresses.previous.remove(&key).unwrap_or_else(|| Limiter::new(self.rate));
            addresses.current.insert(key, limiter);
        }
        addresses.current.get(&key).map_or(Ok(()), |limiter| limiter.charge(replicas))
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv6Addr;

    use super::*;

    fn throttle() -> Throttle {
        Throttle::new("5/s".parse().unwrap())
    }

    #[tokio::test(start_paused = true)]
    async fn an_address_waits_after_its_allowance_and_is_free_again_later() {
        let (throttle, addr) = (throttle(), "192.0.2.1".parse().unwrap());
        for _ in 0..5 {
            assert_eq!(throttle.count(addr, 1), Ok(()));
        }
        assert_eq!(throttle.count(addr, 1), Err(Duration::from_millis(200)));
        assert_eq!(throttle.count("192.0.2.2".parse().unwrap(), 1), Ok(()));
        tokio::time::advance(Duration::from_millis(200)).await;
        assert_eq!(throttle.count(addr, 1), Ok(()));
    }

    #[tokio::test(start_paused = true)]
    async fn addresses_of_one_ipv6_network_count_together() {
        let throttle = throttle();
        for host in 0..5 {
            throttle.count(Ipv6Addr::new(0x2001, 0xdb8, 0, 1, 0, 0, 0, host).into(), 1).unwrap();
        }
        assert!(throttle.count("2001:db8:0:1:ffff::1".parse().unwrap(), 1).is_err());
        assert!(throttle.count("2001:db8:0:2::1".parse().unwrap(), 1).is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn memory_is_bounded_and_recent_offenders_are_remembered() {
        let throttle = throttle();
        let stubborn = "192.0.2.1".parse().unwrap();
        for count in 0..100_000_u32 {
            let _ = throttle.count(IpAddr::V4((0x0a00_0000 + count).into()), 1);
            if count % 1000 == 0 {
                let _ = throttle.count(stubborn, 1);
            }
        }
        let addresses = throttle.addresses.lock();
        assert!(addresses.current.len() <= GENERATION && addresses.previous.len() <= GENERATION);
        drop(addresses);
        assert!(throttle.count(stubborn, 1).is_err());
    }
}
