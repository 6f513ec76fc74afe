//! `/openapi.yaml`: the contract, from the binary. `/docs`: a page that shows it and tries it out, without outside hosts.

use axum::response::{IntoResponse as _, Response};
use http::{HeaderName, HeaderValue, header};

/// The contract.
pub const OPENAPI: &str = include_str!("../../openapi.yaml");

/// The page loads from us alone, is in nobody's frame, and sends no form anywhere: its script does the asking.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Serves the contract.
pub(super) async fn openapi() -> Response {
    ([(header::CONTENT_TYPE, HeaderValue::from_static("application/yaml"))], OPENAPI).into_response()
}

/// The page.
pub(super) async fn page() -> Response {
    asset("text/html; charset=utf-8", include_str!("docs/docs.html"))
}

/// Its style.
pub(super) async fn style() -> Response {
    asset("text/css; charset=utf-8", include_str!("docs/docs.css"))
}

/// Its script.
pub(super) async fn script() -> Response {
    asset("text/javascript; charset=utf-8", include_str!("docs/docs.js"))
}

/// The part of its script that reads the contract.
pub(super) async fn contract_script() -> Response {
    asset("text/javascript; charset=utf-8", include_str!("docs/contract.js"))
}

/// Whoever gets in needs no key for these: there is nothing in them that is not in the source.
fn asset(kind: &'static str, text: &'static str) -> Response {
    const OPENER_POLICY: HeaderName = HeaderName::from_static("cross-origin-opener-policy");
    let headers = [
        (header::CONTENT_TYPE, kind),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::REFERRER_POLICY, "no-referrer"),
        (OPENER_POLICY, "same-origin"),
    ];
    (headers, text).into_response()
}

#[cfg(test)]
mod tests {
    const ASSETS: [&str; 4] = [
        include_str!("docs/docs.html"),
        include_str!("docs/docs.css"),
        include_str!("docs/docs.js"),
        include_str!("docs/contract.js"),
    ];

    #[test]
    fn the_page_is_small_and_names_no_other_host() {
        let size: usize = ASSETS.iter().map(|asset| asset.len()).sum();
        assert!(size < 30 * 1024, "{size} bytes");
        for asset in ASSETS {
            assert!(!asset.contains("://") && !asset.contains("innerHTML"), "{asset}");
        }
    }

    #[test]
    fn the_page_has_nothing_inline_that_its_policy_would_refuse() {
        let [page, ..] = ASSETS;
        for inline in [" style=", " onclick=", " onsubmit=", "<style", "javascript:"] {
            assert!(!page.contains(inline), "{inline}");
        }
        assert_eq!(
            page.matches("<script").count(),
            page.matches("<script type=\"module\" src=\"docs/docs.js\">").count()
        );
    }
}
