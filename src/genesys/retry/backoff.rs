//! Pauses between attempts: exponential with full jitter, or what the upstream asked for and a little more.

use std::time::Duration;

use rand::RngExt as _;

use crate::config;

/// A pause anywhere between nothing and `backoff_min` doubled per attempt, at most `backoff_max`.
pub(super) fn full_jitter(attempts: u32, settings: &config::Retry) -> Duration {
    ceiling(attempts, settings).mul_f64(rand::rng().random_range(0.0..=1.0))
}

/// What the upstream asked for, and on top of it a share that grows with the attempts: people report renewed refusals
/// after waiting for exactly `Retry-After`.
pub(super) fn beyond(asked: Duration, attempts: u32, settings: &config::Retry) -> Duration {
    asked + ceiling(attempts, settings).mul_f64(rand::rng().random_range(0.25..=1.0))
}

fn ceiling(attempts: u32, settings: &config::Retry) -> Duration {
    let doubled = settings.backoff_min.saturating_mul(2u32.saturating_pow(attempts.saturating_sub(1).min(16)));
    doubled.min(settings.backoff_max)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_are_jittered_over_the_whole_range_and_capped() {
        let settings = config::Config::defaults().retry;
        let first: Vec<_> = (0..200).map(|_| full_jitter(1, &settings)).collect();
        assert!(first.iter().all(|p| *p <= settings.backoff_min));
        assert!(
            first.iter().any(|p| *p < settings.backoff_min / 4)
                && first.iter().any(|p| *p > settings.backoff_min * 3 / 4)
        );
        assert!((0..200).all(|_| full_jitter(40, &settings) <= settings.backoff_max));
    }

    #[test]
    fn an_asked_pause_is_outdone_and_grows() {
        let settings = config::Config::defaults().retry;
        let asked = Duration::from_secs(2);
        assert!((0..200).all(|_| beyond(asked, 1, &settings) > asked));
        let longest = |n| (0..200).map(|_| beyond(asked, n, &settings)).max().unwrap();
        assert!(longest(4) > longest(1));
    }
}
