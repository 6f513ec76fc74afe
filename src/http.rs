//! The HTTP side: routes, and what every request passes on its way in.

mod answer;
mod app;
mod audit;
mod audited;
mod begin;
mod callers;
mod context;
mod conversations;
mod disconnect;
mod docs;
mod dropin;
mod edge;
mod fallback;
mod health;
mod in_process;
mod input;
mod jobs;
mod mode;
mod oauth;
mod path;
mod prefix;
mod recent_errors;
mod refused;
mod router;
pub mod routes;
mod search;
mod selector;
mod span;
mod status;
mod teardown;
mod upstream_form;

pub use app::{App, Shared, Started};
pub use docs::{OPENAPI, OPENAPI_JSON};
pub use in_process::{Aside, InProcess};
pub use recent_errors::{RecentError, RecentErrors};
pub use router::{Listener, Routes, router};
