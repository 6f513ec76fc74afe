//! The line at the gate: first come, first served within a rank, and no caller crowds the others out.

use std::collections::BTreeMap;
use std::sync::Arc;

use foldhash::HashMap;
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::genesys::error::CallError;
use crate::genesys::request::Rank;
use crate::genesys::token::Token;

/// A place in line. Lower goes first: disconnects, lookups, jobs, then by the order of acceptance.
pub(super) type LinePosition = (Rank, u64, u64);

/// The right to go: with which token, after how many closings, and when it was given.
#[derive(Debug, Clone)]
pub(super) struct Turn {
    pub(super) token: Arc<Token>,
    pub(super) epoch: u64,
    pub(super) given_at: Instant,
}

/// One call that waits.
#[derive(Debug)]
pub(super) struct Waiter {
    pub(super) caller: Arc<str>,
    pub(super) deadline: Instant,
    /// Gets the turn, or the reason why there will be none.
    pub(super) turn: oneshot::Sender<Result<Turn, CallError>>,
}

/// The calls that wait, in order.
#[derive(Debug, Default)]
pub(super) struct Line {
    waiting: BTreeMap<LinePosition, Waiter>,
    by_caller: HashMap<Arc<str>, usize>,
    last_served: Option<Arc<str>>,
}

impl Line {
    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// How many are ahead of `place`.
    pub(super) fn ahead_of(&self, place: LinePosition) -> usize {
        // Newcomers of the last rank, the usual question, go behind all others.
        match self.waiting.last_key_value() {
            Some((last, _)) if *last < place => self.waiting.len(),
            _ => self.waiting.range(..place).count(),
        }
    }

    /// Whether `caller` holds at least `share` of the places while others wait.
    pub(super) fn crowded_by(&self, caller: &str, share: usize) -> bool {
        let held = self.by_caller.get(caller).copied().unwrap_or(0);
        held >= share && held < self.waiting.len()
    }

    pub(super) fn join(&mut self, place: LinePosition, waiter: Waiter) {
        *self.by_caller.entry(Arc::clone(&waiter.caller)).or_default() += 1;
        self.waiting.insert(place, waiter);
    }

    pub(super) fn leave(&mut self, place: LinePosition) -> Option<Waiter> {
        let waiter = self.waiting.remove(&place)?;
        if let Some(held) = self.by_caller.get_mut(&waiter.caller) {
            *held -= 1;
            if *held == 0 {
                self.by_caller.remove(&waiter.caller);
            }
        }
        Some(waiter)
    }

    /// The rank of the next one to go.
    pub(super) fn first_rank(&self) -> Option<Rank> {
        self.waiting.first_key_value().map(|((rank, ..), _)| *rank)
    }

    /// The ranks that wait.
    pub(super) fn ranks(&self) -> impl Iterator<Item = Rank> {
        Rank::ALL
            .into_iter()
            .filter(|rank| self.waiting.range((*rank, 0, 0)..=(*rank, u64::MAX, u64::MAX)).next().is_some())
    }

    /// The next one to go, of those whose rank `may_go`. A caller that holds over half of the line and went last, or that
    /// `has_half` of the window, lets another go first. This orders; it never leaves room unused.
    pub(super) fn next(&mut self, may_go: impl Fn(Rank) -> bool, has_half: impl Fn(&str) -> bool) -> Option<Waiter> {
        let of_rank = |rank| self.waiting.range((rank, 0, 0)..=(rank, u64::MAX, u64::MAX)).next();
        let (&first, waiter) = Rank::ALL.into_iter().filter(|rank| may_go(*rank)).find_map(of_rank)?;
        let held = self.by_caller.get(&waiter.caller).copied().unwrap_or(0);
        let alone = held == self.waiting.len();
        let crowds = held * 2 > self.waiting.len() && self.last_served.as_ref() == Some(&waiter.caller);
        let others = || self.waiting.range(first..).filter(|(_, other)| other.caller != waiter.caller);
        let other = if alone {
            None
        } else if has_half(&waiter.caller) {
            others().find(|(place, other)| may_go(place.0) && !has_half(&other.caller))
        } else if crowds {
            others().take_while(|(place, _)| place.0 == first.0).next()
        } else {
            None
        };
        let place = other.map_or(first, |(place, _)| *place);
        let waiter = self.leave(place)?;
        self.last_served = Some(Arc::clone(&waiter.caller));
        Some(waiter)
    }

    /// Places and deadlines in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (LinePosition, Instant)> {
        self.waiting.iter().map(|(place, waiter)| (*place, waiter.deadline))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn join(line: &mut Line, rank: Rank, order: u64, caller: &str) {
        let (turn, _) = oneshot::channel();
        line.join((rank, order, 0), Waiter { caller: caller.into(), deadline: Instant::now(), turn });
    }

    fn drain(line: &mut Line) -> String {
        std::iter::from_fn(|| line.next(|_| true, |_| false)).map(|w| w.caller.to_string()).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn disconnects_go_before_lookups_and_older_before_younger() {
        let mut line = Line::default();
        join(&mut line, Rank::Lookup, 1, "l");
        join(&mut line, Rank::Disconnect, 3, "c");
        join(&mut line, Rank::Disconnect, 2, "b");
        assert_eq!(line.ahead_of((Rank::Disconnect, 4, 0)), 2);
        assert_eq!(drain(&mut line), "bcl");
    }

    #[tokio::test(start_paused = true)]
    async fn a_caller_with_over_half_of_the_line_alternates_with_the_others() {
        let mut line = Line::default();
        (0..6).for_each(|n| join(&mut line, Rank::Disconnect, n, "A"));
        join(&mut line, Rank::Disconnect, 10, "b");
        join(&mut line, Rank::Disconnect, 11, "c");
        assert!(line.crowded_by("A", 6) && !line.crowded_by("A", 7) && !line.crowded_by("b", 2));
        assert_eq!(drain(&mut line), "AbAcAAAA");
        assert!(line.is_empty() && line.by_caller.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_caller_with_half_of_the_window_goes_after_others_who_may_go_and_before_those_who_may_not() {
        let mut line = Line::default();
        (0..3).for_each(|n| join(&mut line, Rank::Disconnect, n, "A"));
        join(&mut line, Rank::Disconnect, 5, "b");
        join(&mut line, Rank::Lookup, 1, "c");
        let next = |line: &mut Line, lookups: bool| {
            let may_go = move |rank| rank == Rank::Disconnect || lookups;
            line.next(may_go, |caller| caller == "A").map(|waiter| waiter.caller.to_string())
        };
        assert_eq!(next(&mut line, false).as_deref(), Some("b"));
        assert_eq!(next(&mut line, false).as_deref(), Some("A"), "the window is not left idle");
        assert_eq!(next(&mut line, true).as_deref(), Some("c"));
        assert_eq!(next(&mut line, true).as_deref(), Some("A"));
        assert_eq!(line.ranks().collect::<Vec<_>>(), [Rank::Disconnect]);
    }
}
