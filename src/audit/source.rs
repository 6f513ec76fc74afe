//! Where a request came from.

use std::net::IpAddr;
use std::sync::Arc;

/// Where a request came from. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Source {
    /// The caller's address, behind the trusted proxies.
    pub addr: Option<IpAddr>,
    /// The request id in the answer.
    pub request_id: Option<Arc<str>>,
    /// Trace id of the request, when it has one.
    pub trace_id: Option<Arc<str>>,
    /// On whose behalf the caller says it acts: `unverified:NAME`.
    pub actor: Option<Arc<str>>,
    /// The job that the request belongs to.
    pub job: Option<Arc<str>>,
}
