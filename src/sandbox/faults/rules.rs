//! The fault rules in force.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::{Action, Fault, On};
use crate::sandbox::call::Call;
use crate::sandbox::journal::Kind;

/// Most rules; more are refused.
const MOST: usize = 1_000;

#[derive(Debug, Default)]
pub(crate) struct FaultRules {
    rules: Mutex<Vec<ActiveRule>>,
    /// Whether there are rules. Saves taking the lock, because usually there are none.
    any: AtomicBool,
    ids: AtomicU64,
}

#[derive(Debug)]
struct ActiveRule {
    id: u64,
    fault: Fault,
    until: Option<Instant>,
    fitted: u64,
    applied: u64,
    rng: StdRng,
}

/// What happens to a request.
#[derive(Debug, Default)]
pub(crate) struct Picked {
    /// The last rule that was applied.
    pub(crate) rule: Option<u64>,
    pub(crate) latency: Duration,
    pub(crate) action: Option<Action>,
}

impl FaultRules {
    /// Adds rules, or replaces all with them, and returns their ids. If one is wrong, nothing changes.
    pub(crate) fn add(&self, faults: Vec<Fault>, replace: bool) -> Result<Vec<u64>, String> {
        faults.iter().try_for_each(Fault::check)?;
        let mut rules = self.rules.lock();
        if faults.len() + if replace { 0 } else { rules.len() } > MOST {
            return Err(format!("faults: there can be at most {MOST}; remove some with DELETE /sandbox/faults"));
        }
        if replace {
            rules.clear();
        }
        let ids = faults.into_iter().map(|fault| {
            let id = self.ids.fetch_add(1, Ordering::Relaxed) + 1;
            let until = fault.lasts.and_then(|time| Instant::now().checked_add(time));
            let rng = StdRng::seed_from_u64(fault.seed);
            rules.push(ActiveRule { id, fault, until, fitted: 0, applied: 0, rng });
            id
        });
        let ids = ids.collect();
        self.any.store(!rules.is_empty(), Ordering::Release);
        Ok(ids)
    }

    /// Removes one rule, or all; `false` if there is no such rule.
    pub(crate) fn remove(&self, id: Option<u64>) -> bool {
        let mut rules = self.rules.lock();
        let before = rules.len();
        rules.retain(|rule| id.is_some_and(|id| rule.id != id));
        self.any.store(!rules.is_empty(), Ordering::Release);
        id.is_none() || rules.len() < before
    }

    /// Rules as JSON, with how often each matched and was applied.
    pub(crate) fn list(&self, only: impl Fn(u64) -> bool) -> Vec<Value> {
        let now = Instant::now();
        let rules = self.rules.lock();
        rules.iter().filter(|rule| only(rule.id)).map(|rule| rule.view(now)).collect()
    }

    /// What happens to a request. Counts against the limits of the rules.
    pub(crate) fn pick(&self, call: &Call, reused: bool) -> Picked {
        self.find(|fault| fault.on.fits(call.operation.kind()) && fault.concerns(call, reused))
    }

    /// What happens to a new connection.
    pub(crate) fn pick_connection(&self) -> Picked {
        self.find(|fault| fault.on == On::Connection && !matches!(fault.action, Some(Action::Refuse)))
    }

    fn find(&self, fits: impl Fn(&Fault) -> bool) -> Picked {
        let mut picked = Picked::default();
        if !self.any.load(Ordering::Acquire) {
            return picked;
        }
        let now = Instant::now();
        for rule in self.rules.lock().iter_mut() {
            if !rule.spent(now) && fits(&rule.fault) && rule.takes() {
                rule.apply(&mut picked);
                if picked.action.is_some() {
                    break;
                }
            }
        }
        picked
    }
}

impl ActiveRule {
    fn limit(&self) -> Option<u64> {
        self.fault.times.or(match &self.fault.action {
            Some(Action::Answer(answer)) if !answer.statuses.is_empty() => Some(answer.statuses.len() as u64),
            _ => None,
        })
    }

    fn spent(&self, now: Instant) -> bool {
        self.until.is_some_and(|at| at <= now) || self.limit().is_some_and(|limit| self.applied >= limit)
    }

    fn takes(&mut self) -> bool {
        self.fitted += 1;
        self.fitted > self.fault.skip && self.fault.probability.is_none_or(|p| self.rng.random_bool(p.clamp(0.0, 1.0)))
    }

    fn apply(&mut self, picked: &mut Picked) {
        picked.rule = Some(self.id);
        picked.latency += self.fault.latency.unwrap_or_default();
        if let Some(jitter) = self.fault.jitter {
            picked.latency += jitter.mul_f64(self.rng.random_range(0.0..1.0));
        }
        picked.action = self.fault.action.clone();
        if let Some(Action::Answer(answer)) = &mut picked.action
            && !answer.statuses.is_empty()
        {
            let turn = usize::try_from(self.applied).unwrap_or(0) % answer.statuses.len();
            answer.status = answer.statuses.get(turn).copied();
        }
        self.applied += 1;
    }

    fn view(&self, now: Instant) -> Value {
        let mut view = serde_json::to_value(&self.fault).unwrap_or_default();
        if let Value::Object(members) = &mut view {
            members.retain(|_, value| !value.is_null());
        }
        view["id"] = json!(self.id);
        view["fitted"] = json!(self.fitted);
        view["applied"] = json!(self.applied);
        view["spent"] = json!(self.spent(now));
        view
    }
}

impl On {
    fn fits(self, kind: Kind) -> bool {
        match self {
            Self::Any => true,
            Self::Login => kind == Kind::Login,
            Self::Api => kind != Kind::Login,
            Self::Disconnect => matches!(kind, Kind::Post | Kind::Patch),
            Self::Post => kind == Kind::Post,
            Self::Patch => kind == Kind::Patch,
            Self::Read => kind == Kind::Read,
            Self::List => kind == Kind::List,
            Self::Teardown => kind == Kind::Teardown,
            Self::Analytics => kind == Kind::Analytics,
            Self::Names => kind == Kind::Names,
            Self::Connection => false,
        }
    }
}

impl Fault {
    fn concerns(&self, call: &Call, reused: bool) -> bool {
        (reused || !self.reused)
            && self.conversation.is_none_or(|id| call.conversation == Some(id))
            && self.participant.is_none_or(|id| call.participant == Some(id))
    }
}
