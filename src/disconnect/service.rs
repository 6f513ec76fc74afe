//! The service: each disconnect in a task of its own, so that a caller that leaves stops nothing, with its audit record.

use super::abandoned::Subject;
use super::{Disconnector, Request, Teardown};
use crate::audit::{Pending, RequestedDisconnect};
use crate::outcome::Settled;
use crate::problem::{Code, Problem};

impl Disconnector {
    /// Disconnects one participant.
    ///
    /// # Errors
    /// The problem to show the caller.
    pub async fn disconnect(&self, mut request: Request) -> Result<Settled, Problem> {
        // Decided once: a record without an intent must not become a disconnect.
        request.dry_run |= request.origin.observe || self.observing();
        let origin = &request.origin;
        let asked = RequestedDisconnect {
            caller: &origin.requester.caller,
            conversation: request.conversation,
            participant: Some(request.participant),
            reason: self.reason(request.reason.as_deref()),
            cause: request.cause.as_deref(),
            dry_run: request.dry_run,
        };
        let (pending, subject) = (origin.scope.begin(&asked), Subject::of(&asked, &origin.requester));
        let this = self.clone();
        // Boxed: it is large, and would be moved several times until it runs.
        let work = Box::pin(async move { this.carry_out(&request).await });
        self.supervise(subject, pending, work).await
    }

    /// Ends a conversation for everybody.
    ///
    /// # Errors
    /// The problem to show the caller.
    pub async fn tear_down(&self, mut request: Teardown) -> Result<Settled, Problem> {
        request.dry_run |= request.origin.observe || self.observing();
        let origin = &request.origin;
        let asked = RequestedDisconnect {
            caller: &origin.requester.caller,
            conversation: request.conversation,
            participant: None,
            reason: self.reason(None),
            cause: None,
            dry_run: request.dry_run,
        };
        let (pending, subject) = (origin.scope.begin(&asked), Subject::of(&asked, &origin.requester));
        let this = self.clone();
        self.supervise(subject, pending, async move { this.end(&request).await }).await
    }

    /// Works on when the caller leaves, and writes the audit's record when the work ends, however it does.
    async fn supervise(
        &self,
        subject: Subject,
        mut pending: Pending,
        work: impl Future<Output = Result<Settled, Problem>> + Send + 'static,
    ) -> Result<Settled, Problem> {
        let (kill, this) = (self.inner.kill.clone(), self.clone());
        let waiting = subject.waiting_caller();
        let task = self.inner.tasks.spawn(async move {
            let work = async {
                pending.intend().await?;
                work.await
            };
            let Some(result) = kill.run_until_cancelled(work).await else {
                let problem = subject.give_up();
                pending.abandon(&problem);
                return Err(problem);
            };
            this.inner.metrics.disconnect(match &result {
                Ok(settled) => settled.outcome.name(),
                Err(problem) => problem.code.name(),
            });
            pending.close(&result);
            subject.settled(&result);
            result
        });
        let result = task.await.unwrap_or_else(|_| Err(internal()));
        drop(waiting);
        result
    }
}

/// A defect of ours ended the work.
pub(crate) fn internal() -> Problem {
    Problem::new(Code::Internal, "an error in hangup, which is in its log; repeat the request").effect(true)
}
