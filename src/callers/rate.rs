//! The rate of a key: governor's limiter over tokio's clock, which tests can pause.

use std::fmt;
use std::num::NonZeroU32;
use std::time::Duration;

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

/// Lets a rate through, and a burst of one period's count.
pub(super) struct Limiter {
    rate: Rate,
    clock: TokioClock,
    limiter: RateLimiter<NotKeyed, InMemoryState, TokioClock, NoOpMiddleware<Duration>>,
}

impl Limiter {
    pub(super) fn new(rate: Rate) -> Self {
        let burst = NonZeroU32::new(rate.count).unwrap_or(NonZeroU32::MIN);
        let period = (rate.per / burst.get()).max(Duration::from_nanos(1));
        let clock = TokioClock { origin: Instant::now() };
        // `with_period` refuses a period of zero, which this is not.
        let quota = Quota::with_period(period).map_or(Quota::per_second(burst), |quota| quota.allow_burst(burst));
        Self { rate, clock, limiter: RateLimiter::direct_with_clock(quota, clock) }
    }

    pub(super) fn rate(&self) -> Rate {
        self.rate
    }

    /// Takes one, or says how long to wait for one.
    pub(super) fn charge(&self) -> Result<(), Duration> {
        self.limiter.check().map_err(|until| until.wait_time_from(self.clock.now()))
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
            assert_eq!(limiter.charge(), Ok(()));
        }
        assert_eq!(limiter.charge(), Err(Duration::from_millis(200)));
        tokio::time::advance(Duration::from_millis(200)).await;
        assert_eq!(limiter.charge(), Ok(()));
        assert!(limiter.charge().is_err());
        tokio::time::advance(Duration::from_secs(60)).await;
        assert_eq!((0..10).filter(|_| limiter.charge().is_ok()).count(), 5);
    }

    #[tokio::test(start_paused = true)]
    async fn an_absurd_rate_does_not_panic() {
        let limiter = Limiter::new(Rate { count: u32::MAX, per: Duration::from_secs(1) });
        assert_eq!(limiter.charge(), Ok(()));
    }
}
