//! What no operation can do: such requests are refused before anything is sent, and dry runs say so, too.

use super::Request;
use super::operation::Way;
use crate::medium::Medium;
use crate::problem::{Code, Problem};

/// Whether a request that begins with `way` can be carried out by it.
///
/// # Errors
/// The POST alone works, and the request asks for something else than the plain end of the whole participant.
pub(super) fn by(way: Way, request: &Request) -> Result<(), Problem> {
    if request.is_particular() && way == Way::Post { Err(only_the_post(request)) } else { Ok(()) }
}

/// Whether this medium of a participant who has these live ones can be ended, and the others left alone.
///
/// # Errors
/// No path ends it alone, and the media-agnostic PATCH would end the others with it.
pub(super) fn alone(medium: Medium, live: &[Medium]) -> Result<(), Problem> {
    if medium.is_published() || live.len() < 2 || !live.contains(&medium) {
        return Ok(());
    }
    let detail = format!(
        "Genesys Cloud publishes no way to end only the {} of a participant who has other live media; leave media away to \
         disconnect the participant",
        medium.singular()
    );
    Err(Problem::new(Code::UpstreamRejected, detail).still_there())
}

/// The refusal of what the POST alone would drop silently.
pub(super) fn only_the_post(request: &Request) -> Problem {
    let what = if request.has_wrapup() { "wrap-up" } else { "media" };
    let detail = format!(
        "only the unpublished POST works here, and it takes no {what}; leave {what} away, or set genesys.operation to \"auto\" or \
         \"patch\" where the published PATCH exists"
    );
    Problem::new(Code::UpstreamRejected, detail)
}
