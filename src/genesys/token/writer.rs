//! The one task that logs in: at start, at 80 % of a token's life, and when a 401 asks for it.

use std::sync::Arc;
use std::time::Duration;

use rand::RngExt as _;
use secrecy::{ExposeSecret as _, SecretString};
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use super::failure::LoginFailure;
use super::login::{Grant, Login};
use super::{LoginState, Token, TokenCache};
use crate::config;
use crate::genesys::metrics::{GRANTED, UpstreamMetrics};

/// A failure that goes on is logged again after this.
const LOGGED_AGAIN: Duration = Duration::from_secs(60);
/// A token counts as expired this much early, or 5 % of its life if that is less.
const EXPIRY_MARGIN: Duration = Duration::from_secs(5);
/// The renewal comes up to this share of the life earlier, so that instances do not log in together.
const RENEWAL_JITTER: f64 = 0.05;
/// A throttled login is given at least and at most this, whatever it asked for.
const THROTTLED: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));
/// How often a secret file is looked at after the login has refused its content.
const SECRET_POLL: Duration = Duration::from_secs(2);

/// The writer's own state. Nothing of it is shared.
#[derive(Debug)]
pub(crate) struct Writer {
    cache: TokenCache,
    login: Login,
    settings: config::Token,
    metrics: Arc<UpstreamMetrics>,
    failures: u32,
    token: Option<Arc<Token>>,
    /// The secret of the last attempt, to see whether it has been changed since.
    tried: Option<SecretString>,
    /// The failure that was logged last, and when.
    logged: Option<(LoginFailure, Instant)>,
}

impl Writer {
    pub(crate) fn new(cache: TokenCache, login: Login, settings: config::Token, metrics: Arc<UpstreamMetrics>) -> Self {
        Self { cache, login, settings, metrics, failures: 0, token: None, tried: None, logged: None }
    }

    /// Runs until `stop`. Never gives up.
    pub(crate) async fn run(mut self, stop: CancellationToken) {
        tokio::select! {
            () = self.renew_for_ever() => {}
            () = stop.cancelled() => {}
        }
    }

    async fn renew_for_ever(&mut self) {
        loop {
            self.cache.publish(self.token.clone(), LoginState::UnderWay);
            let asked = Instant::now();
            match self.log_in().await {
                Ok(grant) => {
                    self.take_over(grant, asked);
                    self.until_renewal_is_due().await;
                }
                Err(failure) => {
                    self.failures = self.failures.saturating_add(1);
                    self.metrics.token_renewal(failure.kind());
                    let wait = self.wait_after(&failure);
                    self.log(&failure, wait);
                    let next = Instant::now() + wait;
                    self.cache.publish(self.token.clone(), LoginState::Waiting { next, failure: failure.clone() });
                    if matches!(failure, LoginFailure::Rejected(_) | LoginFailure::Secret(_)) {
                        self.until_secret_changes(next).await;
                    } else {
                        sleep_until(next).await;
                    }
                }
            }
        }
    }

    /// Logs a failure, and the same one again once a minute: the attempts in between are counted.
    fn log(&mut self, failure: &LoginFailure, wait: Duration) {
        let said = self.logged.as_ref().is_some_and(|(last, at)| last == failure && at.elapsed() < LOGGED_AGAIN);
        if said {
            return;
        }
        self.logged = Some((failure.clone(), Instant::now()));
        // Callers read the failure, too, and the path is not for them.
        let path = self.login.secret_file().filter(|_| matches!(failure, LoginFailure::Secret(_)));
        tracing::warn!(
            event = "login_failed", kind = failure.kind(), cause = %failure, failures = self.failures,
            path = path.map(|path| path.display().to_string()), next_attempt_ms = wait.as_millis() as u64, "login failed"
        );
    }

    async fn log_in(&mut self) -> Result<Grant, LoginFailure> {
        let secret = self.login.secret().await?;
        let outcome = timeout(self.settings.timeout, self.login.log_in(&secret)).await;
        self.tried = Some(secret);
        outcome.unwrap_or_else(|_| Err(LoginFailure::Unavailable("it did not answer in time".to_owned())))
    }

    /// The token's life counts from the moment it was asked for: how long its answer took is not known to the upstream.
    fn take_over(&mut self, grant: Grant, asked: Instant) {
        let early = rand::rng().random_range(0.0..=RENEWAL_JITTER);
        let token = Token::new(
            self.token.as_deref(),
            grant.header,
            asked,
            asked + grant.life.mul_f64((self.settings.renew_at - early).clamp(0.0, 1.0)),
            asked + grant.life.saturating_sub(EXPIRY_MARGIN.min(grant.life.mul_f64(0.05))),
        );
        (self.failures, self.logged) = (0, None);
        self.metrics.token_renewal(GRANTED);
        tracing::info!(
            event = "login_granted",
            generation = token.generation,
            life_s = grant.life.as_secs(),
            "token granted"
        );
        self.token = Some(Arc::new(token));
        self.cache.publish(self.token.clone(), LoginState::Idle);
    }

    /// Returns when the token's renewal is due, or at once when a 401 asks for it.
    async fn until_renewal_is_due(&self) {
        let Some(renew_at) = self.token.as_ref().map(|t| t.renew_at) else { return };
        tokio::select! {
            () = sleep_until(renew_at) => {}
            () = self.cache.renewal_wanted() => {}
        }
    }

    /// Returns at `next`, or as soon as the secret is another one than was refused.
    async fn until_secret_changes(&self, next: Instant) {
        let changed = async {
            loop {
                sleep(SECRET_POLL).await;
                if let Ok(secret) = self.login.secret().await
                    && self.tried.as_ref().is_none_or(|old| old.expose_secret() != secret.expose_secret())
                {
                    return;
                }
            }
        };
        tokio::select! {
            () = sleep_until(next) => {}
            () = changed => {}
        }
    }

    fn wait_after(&self, failure: &LoginFailure) -> Duration {
        let config::Token { backoff_min, backoff_max, rejected_interval, .. } = self.settings;
        match failure {
            LoginFailure::Rejected(_) => rejected_interval,
            LoginFailure::Throttled(asked) => {
                let (least, most) = THROTTLED;
                let wait = asked.unwrap_or(least).clamp(least, most);
                wait + least.mul_f64(rand::rng().random_range(0.0..=f64::from(self.failures.min(5))))
            }
            LoginFailure::Unavailable(_) | LoginFailure::Invalid(_) | LoginFailure::Secret(_) => {
                let ceiling = backoff_min.saturating_mul(2u32.saturating_pow(self.failures.min(16))).min(backoff_max);
                rand::rng().random_range(backoff_min.min(ceiling)..=ceiling)
            }
        }
    }
}
