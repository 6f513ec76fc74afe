//! The body of a query.

use serde::de::DeserializeOwned;

use crate::sandbox::answer::Problem;

pub(super) fn parsed<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    serde_json::from_slice(body)
        .map_err(|e| Problem::bad_request(format!("The query could not be understood by the server: {e}")))
}
