//! The contract in all its forms, from the binary, and `/docs`: Swagger UI, which shows it and tries it out, without outside hosts.

use axum::Router;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use http::{HeaderName, HeaderValue, header};

use super::routes;

/// The contract.
pub const OPENAPI: &str = include_str!("../../openapi.yaml");
/// The contract as JSON. `scripts/openapi-forms` writes this and the next two.
pub const OPENAPI_JSON: &str = include_str!("docs/openapi.json");
const OPENAPI_3_0: &str = include_str!("docs/openapi-3.0.json");
const OPENAPI_2_0: &str = include_str!("docs/openapi-2.0.json");

/// The page loads from us alone, cannot be framed, and sends no form: its script makes the requests.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const JSON: &str = "application/json";
const STYLE: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";

/// Nothing here needs a key, because all of it is in the public source.
pub(super) fn routes<S: Clone + Send + Sync + 'static>() -> Router<S> {
    let plain = |kind: &'static str, body: &'static str| get(move || async move { asset(kind, body) });
    let packed = |kind: &'static str, body: &'static [u8]| get(move || async move { compressed(kind, body) });
    Router::new()
        .route(routes::OPENAPI, plain("application/yaml", OPENAPI))
        .route(routes::OPENAPI_JSON, plain(JSON, OPENAPI_JSON))
        .route(routes::OPENAPI_3_0, plain(JSON, OPENAPI_3_0))
        .route(routes::OPENAPI_2_0, plain(JSON, OPENAPI_2_0))
        .route(routes::DOCS, plain("text/html; charset=utf-8", include_str!("docs/docs.html")))
        .route(routes::DOCS_PAGE_STYLE, plain(STYLE, include_str!("docs/page.css")))
        .route(routes::DOCS_PAGE_SCRIPT, plain(SCRIPT, include_str!("docs/page.js")))
        .route(routes::DOCS_VIEWER_STYLE, packed(STYLE, include_bytes!("docs/swagger-ui/swagger-ui.css.gz")))
        .route(routes::DOCS_VIEWER_SCRIPT, packed(SCRIPT, include_bytes!("docs/swagger-ui/swagger-ui-bundle.js.gz")))
}

fn asset(kind: &'static str, body: impl Into<axum::body::Body>) -> Response {
    const OPENER_POLICY: HeaderName = HeaderName::from_static("cross-origin-opener-policy");
    let headers = [
        (header::CONTENT_TYPE, kind),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::REFERRER_POLICY, "no-referrer"),
        (OPENER_POLICY, "same-origin"),
    ];
    (headers, body.into()).into_response()
}

/// What is kept compressed in the binary is sent compressed: only browsers ask for it, and all of them take gzip.
fn compressed(kind: &'static str, body: &'static [u8]) -> Response {
    let mut response = asset(kind, body);
    response.headers_mut().insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    response
}

#[cfg(test)]
mod tests {
    use super::{OPENAPI, OPENAPI_2_0, OPENAPI_3_0, OPENAPI_JSON};

    const PAGE: [&str; 3] =
        [include_str!("docs/docs.html"), include_str!("docs/page.css"), include_str!("docs/page.js")];

    #[test]
    fn the_page_names_no_other_host_and_has_nothing_inline_that_its_policy_would_refuse() {
        for part in PAGE {
            for refused in ["://", "innerHTML", " style=", " onclick=", "<style", "javascript:"] {
                assert!(!part.contains(refused), "{refused}");
            }
        }
        let [html, ..] = PAGE;
        assert_eq!(html.matches("<script").count(), html.matches("<script defer src=\"docs/").count());
    }

    #[test]
    fn the_json_forms_are_made_from_the_contract_of_today() {
        let parse = |text: &str| serde_json::from_str::<serde_json::Value>(text).expect("JSON");
        let contract: serde_json::Value = serde_saphyr::from_str(OPENAPI).expect("YAML");
        assert!(parse(OPENAPI_JSON) == contract, "run scripts/openapi-forms");
        let (older, oldest) = (parse(OPENAPI_3_0), parse(OPENAPI_2_0));
        assert_eq!((older["openapi"].as_str(), oldest["swagger"].as_str()), (Some("3.0.3"), Some("2.0")));
        let paths =
            |form: &serde_json::Value| form["paths"].as_object().expect("paths").keys().cloned().collect::<Vec<_>>();
        assert_eq!(paths(&older), paths(&contract));
        assert!(paths(&oldest).iter().all(|path| !path.starts_with("/api/v2/") && path != "/mode"));
        assert!(!OPENAPI_2_0.contains("\"oneOf\"") && !OPENAPI_2_0.contains("\"anyOf\""));
    }
}
