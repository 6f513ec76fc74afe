//! A place among the requests under way, with the deadline that goes with it.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;

use super::share::Share;
use super::{Disconnector, Origin};
use crate::genesys::context::Context;
use crate::metrics::InFlightGuard;
use crate::problem::{Code, Problem};

/// A place among those under way, and the deadline that goes with it.
#[derive(Debug)]
pub(crate) struct Admission {
    pub(crate) context: Arc<Context>,
    _permit: OwnedSemaphorePermit,
    _share: Share,
    _counted: InFlightGuard,
}

impl Disconnector {
    /// Takes one place among those under way.
    ///
    /// # Errors
    /// `overloaded` when there is none.
    pub(crate) fn admit(&self, origin: &Origin) -> Result<Admission, Problem> {
        let Some(share) = self.inner.shares.take(&origin.requester.caller) else {
            let detail = "half of limits.max_in_flight requests of this caller are under way already, and the rest is kept for \
                          others; repeat after Retry-After";
            return Err(Problem::new(Code::CallerRateLimited, detail).retry_after(Duration::from_secs(1)));
        };
        let Ok(permit) = Arc::clone(&self.inner.permits).try_acquire_owned() else {
            self.inner.metrics.shed();
            let detail = "limits.max_in_flight requests are under way already; repeat after Retry-After";
            return Err(Problem::new(Code::Overloaded, detail).retry_after(Duration::from_secs(1)));
        };
        let settings = &self.inner.settings;
        let reserve = settings.attempt_timeout.min(settings.deadline / 4);
        let left = origin.deadline.map_or(settings.deadline, |end| end.saturating_duration_since(Instant::now()));
        let context = Context::new(Arc::clone(&origin.requester), left, reserve);
        let counted = self.inner.metrics.in_flight();
        Ok(Admission { context: Arc::new(context), _permit: permit, _share: share, _counted: counted })
    }
}
