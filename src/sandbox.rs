//! A stand-in for Genesys Cloud that speaks enough of the real API for the official SDKs, and misbehaves on command.
//!
//! It works in-process ([`Sandbox::router`], also on a paused clock) and over sockets ([`Sandbox::serve`]); tests use
//! the methods of [`Sandbox`]. docs/SANDBOX.md describes the control endpoints under `/sandbox`.
//!
//! A request passes `gate` (token, rate window), `faults::act` (latency and other faults) and `api` (the operation);
//! `journal` records it. What will happen later (a disconnect takes effect, a conversation ends) is stored with its
//! instant and evaluated at the next read. There are no background tasks, so a paused clock only has to be advanced.

mod answer;
mod api;
mod call;
mod clock;
mod connection;
mod control;
mod conversation;
mod conversations;
mod directory;
mod disconnects;
mod faults;
mod foreign;
mod gate;
mod handle;
mod incoming;
mod journal;
mod medium;
mod option_duration;
mod page;
mod render;
mod serve;
mod settings;
mod spec;
mod state;
mod stuck;
mod tokens;

pub use faults::act::Broken;
pub use faults::{Action, BodyFault, BodyKind, Cut, Fault, FaultAnswer, Forbidden, On, Redirect, TokenFault};
pub use foreign::{Foreign, Gateway};
pub use handle::{Conference, Member};
pub use journal::{Counts, Entry, Kind};
pub use medium::Medium;
pub use serve::listen;
pub use settings::{Settings, TokenTerms};
pub use spec::{ConversationSpec, ParticipantSpec, SpecError};
pub use state::Sandbox;
pub use stuck::StuckSpec;
pub use tokens::TokenView;
