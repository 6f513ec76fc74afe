//! The rate of a key: governor's limiter over tokio's clock, which tests can pause.

use std::fmt;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use governor::clock::Clock;
use governor::middleware::NoOpMiddleware;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};
use tokio::time::Instant;

use crate::config::value::Rate;

/// Tokio's clock for governor: the time since the limiter was made.
#[derive(Debug, Clone, Copy)]
struct TokioClock {
    origin: Instant,
}

impl Clock for TokioClock {
    type Instant = Duration;

    fn now(&self) -> Duration {
        self.origin.elapsed()
    }
}

/// Admits requests at a rate, with a burst of one period's count. Each living replica admits its share, so that
/// together they keep the rate.
pub(super) struct Limiter {
    rate: Rate,
    share: ArcSwap<Share>,
}

/// The share of one of this many replicas.
struct Share {
    replicas: usize,
    clock: TokioClock,
    limiter: RateLimiter<NotKeyed, InMemoryState, TokioClock, NoOpMiddleware<Duration>>,
}

impl Share {
    fn of(rate: Rate, replicas: usize) -> Self {
        let divisor = u32::try_from(replicas.max(1)).unwrap_or(u32::MAX);
        let count = NonZeroU32::new(rate.count).unwrap_or(NonZeroU32::MIN);
        let burst = NonZeroU32::new(rate.count / divisor).unwrap_or(NonZeroU32::MIN);
        let period = (rate.per.saturating_mul(divisor) / count.get()).max(Duration::from_nanos(1));
        let clock = TokioClock { origin: Instant::now() };
        // `with_period` refuses a period of zero, which this is not.
        let quota = Quota::with_period(period).map_or(Quota::per_second(burst), |quota| quota.allow_burst(burst));
        Self { replicas, clock, limiter: RateLimiter::direct_with_clock(quota, clock) }
    }
}

impl Limiter {
    pub(super) fn new(rate: Rate) -> Self {
        Self { rate, share: ArcSwap::from_pointee(Share::of(rate, 1)) }
    }

    pub(super) fn rate(&self) -> Rate {
        self.rate
    }

    /// Charges one request to this replica's share while this many replicas are alive, or returns how long to wait.
    pub(super) fn charge(&self, replicas: usize) -> Result<(), Duration> {
        let mut share = self.share.load();
        if share.replicas != replicas {
            // This forgets what was charged, which is accurate enough when replicas come and go.
            self.share.store(Arc::new(Share::of(self.rate, replicas)));
            share = self.share.load();
        }
        share.limiter.check().map_err(|until| until.wait_time_from(share.clock.now()))
    }
}

impl fmt::Debug for Limiter {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Limiter").field("rate", &self.rate).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_rate_lets_a_burst_through_then_one_at_a_time() {
        let limiter = Limiter::new("5/s".parse().unwrap());
        for _ in 0..5 {
            assert_eq!(limiter.charge(1), Ok(()));
        }
        assert_eq!(limiter.charge(1), Err(Duration::from_millis(200)));
        tokio::time::advance(Duration::from_millis(200)).await;
        assert_eq!(limiter.charge(1), Ok(()));
        assert!(limiter.charge(1).is_err());
        tokio::time::advance(Duration::from_secs(60)).await;
        assert_eq!((0..10).filter(|_| limiter.charge(1).is_ok()).count(), 5);
    }

    #[tokio::test(start_paused = true)]
    async fn replicas_let_through_together_what_one_would_alone() {
        let rate = "6/s".parse().unwrap();
        let fleet: Vec<_> = (0..3).map(|_| Limiter::new(rate)).collect();
        let mut passed = 0;
        for _ in 0..100 {
            passed += fleet.iter().filter(|limiter| limiter.charge(3).is_ok()).count();
            tokio::time::advance(Duration::from_millis(50)).await;
        }
        assert!((33..=38).contains(&passed), "{passed} of 6 a second in 5 s, and a burst");
        let slow = Limiter::new("1/m".parse().unwrap());
        assert_eq!(slow.charge(3), Ok(()));
        assert_eq!(slow.charge(3), Err(Duration::from_secs(180)));
    }

    #[tokio::test(start_paused = true)]
    async fn an_absurd_rate_does_not_panic() {
        let limiter = Limiter::new(Rate { count: u32::MAX, per: Duration::from_secs(1) });
        assert_eq!(limiter.charge(1), Ok(()));
    }
}
