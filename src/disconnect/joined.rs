//! One disconnect from its request to its result: it joins one with the same effect, or leads it.

use std::sync::Arc;

use super::request::{JoinKey, SharedResult};
use super::run::Run;
use super::singleflight::{Leader, Role};
use super::{Admission, Disconnector, DisconnectorInner, Request};
use crate::outcome::{Outcome, Settled};
use crate::problem::{Code, Effect, Problem};

impl Disconnector {
    /// The futures of rare paths are boxed, so that the usual disconnect needs no memory for them.
    pub(super) async fn carry_out(&self, request: &Request) -> Result<Settled, Problem> {
        if request.dry_run || self.observing() {
            return Box::pin(self.observe(request)).await;
        }
        let mut admission = None;
        if request.is_conditional() {
            let admitted = self.admit(&request.origin)?;
            if let Some(settled) = Box::pin(self.guard(request, &admitted.context)).await? {
                return Ok(settled);
            }
            admission = Some(admitted);
        }
        let role = self.inner.singleflight.join(&request.join_key());
        let settled = match role {
            Role::Leader(leader) => self.lead(request, Some(leader), &mut admission).await,
            Role::Follower(follower) => {
                self.inner.metrics.join();
                // What the other request has sent is not known here.
                request.origin.requester.note_sent();
                match follower.result().await {
                    // Another reason or cause was refused; those of this request have not been tried.
                    Some(shared) if shared.refuses_other_words_than(request) => {
                        Box::pin(self.lead(request, None, &mut admission)).await
                    }
                    Some(shared) => shared.result,
                    None => {
                        let detail = "an error in hangup ended the disconnect; repeat the request";
                        Err(Problem::new(Code::Internal, detail).effect(true))
                    }
                }
            }
        };
        let settled = match settled {
            Ok(settled) => settled,
            // The service was switched to observe mode before anything was sent.
            Err(problem) if problem.code == Code::ObserveMode && problem.effect == Effect::None => {
                return Box::pin(self.observe_instead(request, admission)).await;
            }
            Err(problem) => return Err(problem),
        };
        if matches!(settled.outcome, Outcome::Disconnected | Outcome::Accepted) {
            return self.confirm_as_asked(request, settled, admission).await;
        }
        Ok(settled)
    }

    /// Does the work, and shares its result whatever happens.
    async fn lead(
        &self,
        request: &Request,
        leader: Option<Leader<JoinKey, SharedResult>>,
        admission: &mut Option<Admission>,
    ) -> Result<Settled, Problem> {
        let context = match admission {
            Some(admitted) => Ok(Arc::clone(&admitted.context)),
            None => self.admit(&request.origin).map(|admitted| Arc::clone(&admission.insert(admitted).context)),
        };
        let repeated = match &context {
            Ok(context) if leader.as_ref().is_some_and(|leader| leader.accepted_recently) => {
                Box::pin(self.repeat(request, context)).await
            }
            _ => None,
        };
        let (result, accepted, posted) = match (context, repeated) {
            (Err(problem), _) => (Err(problem), false, false),
            (Ok(_), Some(result)) => (result, false, false),
            (Ok(context), None) => {
                self.inner.client.deposit();
                let DisconnectorInner { client, operations, unknown, .. } = &*self.inner;
                let reason = self.reason(request.reason.as_deref());
                let mut run = Run::new((client, operations, unknown), context, request, reason);
                let result = run.run().await.map_err(|problem| problem.attempts(run.context.attempts()));
                let accepted =
                    result.as_ref().is_ok_and(|s| matches!(s.outcome, Outcome::Disconnected | Outcome::Accepted));
                (result, accepted, run.posted)
            }
        };
        if let Some(leader) = leader {
            leader.complete(accepted, || SharedResult {
                result: result.clone(),
                sent: posted.then(|| (request.reason.clone(), request.cause.clone())),
            });
        }
        result
    }
}
