//! Serde adapter for durations that may be absent, written as `"250ms"`.

use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::config::value::duration;

#[derive(Deserialize, Serialize)]
struct Written(#[serde(with = "duration")] Duration);

pub(crate) fn deserialize<'de, D: Deserializer<'de>>(input: D) -> Result<Option<Duration>, D::Error> {
    Ok(Option::<Written>::deserialize(input)?.map(|written| written.0))
}

#[expect(clippy::ref_option, reason = "serde's signature")]
pub(crate) fn serialize<S: Serializer>(value: &Option<Duration>, output: S) -> Result<S::Ok, S::Error> {
    value.map(Written).serialize(output)
}
