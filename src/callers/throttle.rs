//! Slows down who presents wrong credentials, per client address, in bounded memory.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::config::value::Rate;

/// Addresses of one generation. Two generations are kept, so that memory stays under a megabyte; beyond that the
/// addresses that failed least recently are forgotten.
const GENERATION: usize = 8192;

#[derive(Debug)]
pub(super) struct Throttle {
    origin: Instant,
    /// One wrong credential costs this much time,
    cost: Duration,
    /// and so much debt is tolerated: one period's count at once.
    tolerance: Duration,
    debts: Mutex<Debts>,
}

/// Until when each address has spent its allowance (GCRA's theoretical arrival time), since `origin`.
#[derive(Debug, Default)]
struct Debts {
    current: HashMap<u128, Duration>,
    previous: HashMap<u128, Duration>,
}

impl Throttle {
    pub(super) fn new(rate: Rate) -> Self {
        let cost = rate.per / rate.count.max(1);
        Self { origin: Instant::now(), cost, tolerance: rate.per.saturating_sub(cost), debts: Mutex::default() }
    }

    /// How long this address has to wait before more wrong credentials are looked at.
    pub(super) fn blocked(&self, addr: IpAddr) -> Option<Duration> {
        let now = self.origin.elapsed();
        let debts = self.debts.lock().unwrap_or_else(PoisonError::into_inner);
        let until = debts.until(prefix(addr))?;
        until.checked_sub(self.tolerance + now).filter(|wait| !wait.is_zero())
    }

    /// Counts one wrong credential.
    pub(super) fn failed(&self, addr: IpAddr) {
        let now = self.origin.elapsed();
        let key = prefix(addr);
        let mut debts = self.debts.lock().unwrap_or_else(PoisonError::into_inner);
        let until = debts.until(key).unwrap_or_default().max(now) + self.cost;
        if debts.current.len() >= GENERATION && !debts.current.contains_key(&key) {
            debts.previous = std::mem::take(&mut debts.current);
        }
        debts.current.insert(key, until);
    }
}

impl Debts {
    fn until(&self, key: u128) -> Option<Duration> {
        self.current.get(&key).or_else(|| self.previous.get(&key)).copied()
    }
}

/// IPv4 addresses count each, IPv6 addresses by /64, which is what one client usually has.
fn prefix(addr: IpAddr) -> u128 {
    match addr.to_canonical() {
        IpAddr::V4(v4) => u128::from(v4.to_bits()),
        IpAddr::V6(v6) => (v6.to_bits() >> 64 << 64) | 1 << 63,
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
    async fn an_address_is_blocked_after_its_allowance_and_free_again_later() {
        let (throttle, addr) = (throttle(), "192.0.2.1".parse().unwrap());
        for _ in 0..5 {
            assert_eq!(throttle.blocked(addr), None);
            throttle.failed(addr);
        }
        assert_eq!(throttle.blocked(addr), Some(Duration::from_millis(200)));
        assert_eq!(throttle.blocked("192.0.2.2".parse().unwrap()), None);
        tokio::time::advance(Duration::from_millis(200)).await;
        assert_eq!(throttle.blocked(addr), None);
    }

    #[tokio::test(start_paused = true)]
    async fn addresses_of_one_ipv6_network_count_together() {
        let throttle = throttle();
        for host in 0..5 {
            throttle.failed(Ipv6Addr::new(0x2001, 0xdb8, 0, 1, 0, 0, 0, host).into());
        }
        assert!(throttle.blocked("2001:db8:0:1:ffff::1".parse().unwrap()).is_some());
        assert!(throttle.blocked("2001:db8:0:2::1".parse().unwrap()).is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn memory_is_bounded_and_recent_offenders_are_remembered() {
        let throttle = throttle();
        let stubborn = "192.0.2.1".parse().unwrap();
        for count in 0..100_000_u32 {
            throttle.failed(IpAddr::V4((0x0a00_0000 + count).into()));
            if count % 1000 == 0 {
                throttle.failed(stubborn);
            }
        }
        let debts = throttle.debts.lock().unwrap();
        assert!(debts.current.len() <= GENERATION && debts.previous.len() <= GENERATION);
        drop(debts);
        assert!(throttle.blocked(stubborn).is_some());
    }
}
