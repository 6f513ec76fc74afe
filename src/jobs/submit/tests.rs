//! What is answered when the store fails at the commit that accepts the job.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tower::util::BoxCloneSyncService;

use super::*;
use crate::genesys::error::{CallError, Cause};
use crate::ids::{ConversationId, ParticipantId};
use crate::jobs::simulation::replica::jobs_over;
use crate::problem::Effect;
use crate::store::{SharedDatabase, StoreFault, Weather};

const ID: &str = "0a1b2c3d-4e5f-4a6b-8c7d-9e0f1a2b3c4d";

/// A job of one item, submitted to a store that works for this many calls, then has this trouble once, then is out of reach.
async fn submitted(well: usize, trouble: StoreFault) -> Result<Accepted, Problem> {
    let calls = AtomicUsize::new(0);
    let weather: Weather = Arc::new(move || {
        let call = calls.fetch_add(1, Ordering::Relaxed);
        let trouble = match call {
            _ if call < well => StoreFault::None,
            _ if call == well => trouble,
            _ => StoreFault::OutOfReach,
        };
        (Duration::ZERO, trouble)
    });
    let item = ItemInput {
        conversation: ConversationId::parse(ID).unwrap(),
        target: TargetInput::Participant(ParticipantId::parse(ID).unwrap()),
    };
    let submission = Submission {
        caller: "key:ivr".to_owned(),
        name: None,
        plan: Plan::default(),
        items: vec![(0, item)],
        hold: false,
        start: Start::Now,
        body: String::new(),
        request_key: None,
    };
    jobs_with(weather).submit(submission).await
}

/// Jobs in a store of this weather, without an upstream.
fn jobs_with(weather: Weather) -> Jobs {
    let exchange = BoxCloneSyncService::new(tower::service_fn(|_| {
        std::future::ready(Err(CallError::Connect(Cause::text("no upstream in this test"))))
    }));
    jobs_over(SharedDatabase::new().open(0, weather), exchange)
}

#[tokio::test(start_paused = true)]
async fn a_commit_that_timed_out_is_not_called_nothing_queued() {
    let mut doubtful = 0;
    for well in 0..8 {
        for trouble in [StoreFault::TimedOut, StoreFault::TimedOutAfterCommit] {
            let Err(problem) = submitted(well, trouble).await else { continue };
            assert_eq!(problem.code, Code::StoreUnavailable);
            let unknown = problem.effect == Effect::Unknown;
            assert_eq!(problem.detail.contains("nothing was queued"), !unknown, "{}", problem.detail);
            doubtful += usize::from(unknown);
        }
    }
    assert_eq!(doubtful, 2, "the commit that makes the job visible, before and after it took effect");
    let refused = submitted(0, StoreFault::OutOfReach).await.unwrap_err();
    assert_eq!(refused.effect, Effect::None);
}

#[tokio::test(start_paused = true)]
async fn a_job_that_cannot_be_read_is_not_told_as_one_that_was_not_queued() {
    let jobs = jobs_with(Arc::new(|| (Duration::ZERO, StoreFault::OutOfReach)));
    let problem = jobs.find(ID, "key:ivr", false).await.unwrap_err();
    assert_eq!((problem.code, problem.effect), (Code::StoreUnavailable, Effect::None));
    assert!(!problem.detail.contains("queued"), "{}", problem.detail);
}
