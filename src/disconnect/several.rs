//! Several disconnects of one request: one by one, and what is said of all of them together.

use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::Instant;

use super::confirm::awaited;
use super::service::internal;
use super::{Disconnector, Request};
use crate::outcome::{Outcome, Settled};
use crate::problem::{Effect, Problem};

impl Disconnector {
    /// Disconnects these one by one, in a task of its own: a caller that leaves does not leave half of them in the conversation.
    /// Then reads until they are gone, all of them for at most `wait`.
    ///
    /// # Errors
    /// The first failure, once all have been tried.
    pub(crate) async fn disconnect_each(
        &self,
        requests: Vec<Request>,
        wait: Option<Duration>,
    ) -> Result<Settled, Problem> {
        let this = self.clone();
        let task = self.inner.tasks.spawn(async move { this.one_by_one(requests, wait).await });
        task.await.unwrap_or_else(|_| Err(internal()))
    }

    async fn one_by_one(&self, requests: Vec<Request>, wait: Option<Duration>) -> Result<Settled, Problem> {
        let mut results = Vec::with_capacity(requests.len());
        let wait = self.confirm_wait(wait);
        for request in &requests {
            // Confirmed one by one, the first would take the time of the others.
            let wait = wait.map(|_| Duration::ZERO);
            results.push(self.disconnect(Request { wait, ..request.clone() }).await);
        }
        let Some(until) = wait.map(|wait| Instant::now() + wait) else { return as_one(&results) };
        let confirmed = requests.iter().zip(results).map(async |(request, result)| match result {
            Ok(settled) if matches!(settled.outcome, Outcome::Accepted | Outcome::Disconnected) => {
                let left = until.saturating_duration_since(Instant::now());
                self.watch(&request.origin, awaited(request), left).await.after(settled)
            }
            other => other,
        });
        as_one(&join_all(confirmed).await)
    }
}

/// The result of several disconnects together: the least certain one. If there were none, all participants are gone.
///
/// # Errors
/// The first failure. Its effect is unknown where any of them may have disconnected a participant.
pub(crate) fn as_one<'a>(results: impl IntoIterator<Item = &'a Result<Settled, Problem>>) -> Result<Settled, Problem> {
    let (mut settled, mut problems) = (Vec::new(), Vec::new());
    for result in results {
        match result {
            Ok(one) => settled.push(one),
            Err(problem) => problems.push(problem),
        }
    }
    let attempts = settled.iter().map(|s| s.attempts).chain(problems.iter().map(|p| p.attempts)).sum();
    let Some(first) = problems.first() else {
        let least =
            settled.iter().min_by_key(|s| (s.gone != Some(false), s.gone.is_some(), s.verified, s.attempts == 0));
        return Ok(least.map_or_else(Settled::nobody_left, |least| Settled { attempts, ..Settled::clone(least) }));
    };
    let taken = |s: &Settled| s.attempts > 0 && matches!(s.outcome, Outcome::Accepted | Outcome::Disconnected);
    let unknown = problems.iter().any(|p| p.effect == Effect::Unknown) || settled.iter().any(|s| taken(s));
    let all = || settled.iter().map(|s| s.gone).chain(problems.iter().map(|p| p.gone));
    let gone = if all().any(|gone| gone == Some(false)) { Some(false) } else { None };
    Err(Problem { gone, attempts, ..Problem::clone(first).effect(unknown) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::problem::Code;

    fn settled(gone: Option<bool>, verified: bool, attempts: u32) -> Result<Settled, Problem> {
        let outcome = if attempts > 0 { Outcome::Accepted } else { Outcome::AlreadyDisconnected };
        Ok(Settled { outcome, gone, verified, attempts, ..Settled::nobody_left() })
    }

    fn failed(code: Code, effect: bool, gone: Option<bool>) -> Result<Settled, Problem> {
        Err(Problem { gone, ..Problem::new(code, "").effect(effect).attempts(1) })
    }

    #[test]
    fn what_is_least_certain_speaks_for_all() {
        let (seen, said, unknown, there) = (
            settled(Some(true), true, 1),
            settled(Some(true), false, 1),
            settled(None, false, 1),
            settled(Some(false), false, 1),
        );
        let of = |results: &[Result<Settled, Problem>]| {
            let one = as_one(results).unwrap();
            (one.gone, one.verified, one.attempts)
        };
        assert_eq!(of(&[seen.clone(), said.clone()]), (Some(true), false, 2));
        assert_eq!(of(&[seen.clone(), unknown.clone(), said]), (None, false, 3));
        assert_eq!(of(&[there, unknown, seen]), (Some(false), false, 3));
        assert_eq!(of(&[]), (Some(true), true, 0));
    }

    #[test]
    fn the_first_failure_is_told_with_the_effect_that_any_of_them_may_have_had() {
        let (conflict, timeout) =
            (failed(Code::UpstreamConflict, false, Some(false)), failed(Code::UpstreamTimeout, true, None));
        let of = |results: &[Result<Settled, Problem>]| {
            let problem = as_one(results).unwrap_err();
            (problem.code, problem.effect, problem.gone)
        };
        let first = |effect| (Code::UpstreamConflict, effect, Some(false));
        assert_eq!(of(std::slice::from_ref(&conflict)), first(Effect::None));
        assert_eq!(of(&[conflict.clone(), timeout]), first(Effect::Unknown));
        assert_eq!(of(&[settled(None, false, 1), conflict.clone()]), first(Effect::Unknown));
        assert_eq!(of(&[settled(Some(true), true, 0), conflict]), first(Effect::None));
        let left = failed(Code::Changed, false, Some(true));
        assert_eq!(of(&[left, settled(None, false, 0)]), (Code::Changed, Effect::None, None));
    }
}
