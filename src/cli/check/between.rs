//! What stands in between, when an answer is not Genesys Cloud's own: a gateway without this route, a proxy, another web server.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, header};
use tokio::time::timeout;
use tower::Service as _;

use super::super::live::LiveUpstream;
use super::report::CheckLine;
use crate::config::{Config, OperationChoice};
use crate::genesys::answer::Answer;
use crate::genesys::exchange::Wire;

const NAME: &str = "whose answers";
const PATIENCE: Duration = Duration::from_secs(5);

/// Headers by which programs in between are known, and the words to call them.
const SIGNS: [(&str, &str); 8] = [
    ("x-kong-response-latency", "Kong"),
    ("x-kong-proxy-latency", "Kong"),
    ("x-envoy-upstream-service-time", "Envoy"),
    ("x-amz-apigw-id", "an AWS API gateway"),
    ("x-amzn-requestid", "an AWS API gateway"),
    ("apim-request-id", "Azure API Management"),
    ("cf-ray", "Cloudflare"),
    ("x-squid-error", "Squid"),
];

/// Says who answered instead of Genesys Cloud, and what to do.
pub(super) async fn check(config: &Config, upstream: &LiveUpstream, answer: &Answer) -> CheckLine {
    let who = headers(config, upstream).await.and_then(|headers| named(&headers));
    let form = if answer.is_html() { "a page for people" } else { "not in Genesys Cloud's form" };
    let detail = format!(
        "{} answers for Genesys Cloud: status {}, {form}, without ININ-Correlation-Id",
        who.unwrap_or_else(|| "something in between".to_owned()),
        answer.status.as_u16()
    );
    let (api, _) = config.genesys.urls().unwrap_or_default();
    let remedy = if api.trim_end_matches('/').ends_with("/api/v2") {
        "genesys.api_url must end before /api/v2: hangup adds that itself"
    } else {
        "let it pass /api/v2/conversations on, with its answers' headers, or point genesys.api_url (or genesys.region) at \
         Genesys Cloud itself"
    };
    match config.genesys.operation {
        // A gateway that has nothing but the POST is what this setting is for.
        OperationChoice::Post => CheckLine::warn(NAME, detail, remedy),
        OperationChoice::Auto | OperationChoice::Patch => CheckLine::fail(NAME, detail, remedy),
    }
}

/// The headers of whatever answers on the conversations' path. The request carries the token, which has been sent there before.
async fn headers(config: &Config, upstream: &LiveUpstream) -> Option<HeaderMap> {
    let (api, _) = config.genesys.urls().ok()?;
    let url = format!("{}/api/v2/conversations/{}", api.trim_end_matches('/'), uuid::Uuid::new_v4());
    let mut wire = Wire::new(&config.genesys, PATIENCE).ok()?;
    let token = upstream.client.tokens().current()?;
    let request = Request::get(url).header(header::AUTHORIZATION, token.header().clone()).body(Bytes::new()).ok()?;
    Some(timeout(PATIENCE, wire.call(request)).await.ok()?.ok()?.headers().clone())
}

fn named(headers: &HeaderMap) -> Option<String> {
    let sign = SIGNS.iter().find(|(header, _)| headers.contains_key(*header));
    let header = |name: &str| headers.get(name)?.to_str().ok().filter(|text| !text.is_empty()).map(str::to_owned);
    match (sign, header("server"), header("via")) {
        (Some((_, name)), ..) => Some((*name).to_owned()),
        (None, Some(server), _) => Some(format!("\"{server}\"")),
        (None, None, Some(via)) => Some(format!("\"{via}\"")),
        (None, None, None) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_in_between_is_named_by_its_headers() {
        let name = |headers: &[(&'static str, &'static str)]| {
            named(&headers.iter().map(|(n, v)| (n.parse().unwrap(), v.parse().unwrap())).collect::<HeaderMap>())
        };
        assert_eq!(name(&[("server", "nginx/1.27"), ("x-kong-proxy-latency", "1")]).as_deref(), Some("Kong"));
        assert_eq!(name(&[("server", "nginx/1.27"), ("via", "1.1 x")]).as_deref(), Some("\"nginx/1.27\""));
        assert_eq!(name(&[("via", "1.1 proxy")]).as_deref(), Some("\"1.1 proxy\""));
        assert_eq!(name(&[("date", "now")]), None);
    }
}
