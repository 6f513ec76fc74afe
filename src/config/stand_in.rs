//! The settings of the sandbox, the stand-in for Genesys Cloud.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use super::declare::{join, section, words};
use super::setting::{Setting, Wrong, count_up_to, positive};
use super::value::{address, duration};

section! {
    /// `[sandbox]`: the stand-in for Genesys Cloud.
    Sandbox {
        #[serde(deserialize_with = "address::deserialize")]
        bind: SocketAddr,
        surface: Surface,
        client_id: String,
        #[serde(skip_serializing)]
        client_secret: SecretString,
        #[serde(with = "duration")]
        token_lifetime: Duration where positive,
        #[serde(with = "duration")]
        effect_delay: Duration,
        rate_limit: u32 where count_up_to(u32::MAX),
        #[serde(with = "duration")]
        rate_window: Duration where positive,
    }
}

words! {
    /// `sandbox.surface`: which operations for disconnecting the sandbox offers.
    Surface {
        /// PATCH only, as the published API.
        Published "published",
        /// The unpublished `POST …/disconnect` only.
        Unpublished "unpublished",
        /// Both.
        Both "both",
    }
}
