//! Path prefixes: SDKs can be pointed at a gateway below a path, such as `/genesys/api/v2/…`. For the upstream's own paths and the
//! OAuth endpoint a short prefix is taken off before routing; nothing else is ever reached that way.

use axum::extract::Request;
use http::Uri;
use http::uri::PathAndQuery;

/// Most segments of a prefix.
const DEEPEST: usize = 4;

/// The request as if there were no prefix.
pub(super) fn strip(mut request: Request) -> Request {
    if let Some(uri) = stripped(request.uri()) {
        *request.uri_mut() = uri;
    }
    request
}

fn stripped(uri: &Uri) -> Option<Uri> {
    let path = uri.path();
    if path.starts_with("/api/v2/") || path.starts_with("/oauth/") || path.starts_with("/conversations/") {
        return None;
    }
    let at =
        path.find("/api/v2/").or_else(|| path.ends_with("/oauth/token").then(|| path.len() - "/oauth/token".len()))?;
    let prefix = path.get(1..at)?;
    let plain = |segment: &str| {
        !segment.is_empty()
            && !segment.starts_with('.')
            && segment.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.~".contains(&b))
    };
    let segments: Vec<&str> = prefix.split('/').collect();
    if segments.len() > DEEPEST || !segments.into_iter().all(plain) {
        return None;
    }
    let rest = uri.path_and_query()?.as_str().get(at..)?;
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(rest.parse::<PathAndQuery>().ok()?);
    Uri::from_parts(parts).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strip(path: &str) -> Option<String> {
        stripped(&path.parse().unwrap()).map(|uri| uri.to_string())
    }

    #[test]
    fn a_short_plain_prefix_is_taken_off_drop_in_paths_only() {
        assert_eq!(strip("/genesys/api/v2/conversations/x?a=b").as_deref(), Some("/api/v2/conversations/x?a=b"));
        assert_eq!(strip("/api/api/v2/conversations/x").as_deref(), Some("/api/v2/conversations/x"));
        assert_eq!(
            strip("/genesys/api/v2/users/me").as_deref(),
            Some("/api/v2/users/me"),
            "told as the upstream would"
        );
        assert_eq!(strip("/gw/login/oauth/token").as_deref(), Some("/oauth/token"));
        for kept in [
            "/api/v2/conversations/x",
            "/oauth/token",
            "/gw/conversations/x",
            "/conversations/api/v2/conversations/x",
            "/a/b/c/d/e/api/v2/conversations/x",
            "//api/v2/conversations/x",
            "/../api/v2/conversations/x",
            "/gw%2f/api/v2/conversations/x",
            "/gw/metrics",
        ] {
            assert_eq!(strip(kept), None, "{kept}");
        }
    }
}
