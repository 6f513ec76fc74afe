//! Hosts, TLS, and the clock.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::{HeaderMap, Request, Uri, header};
use tokio::time::{Instant, timeout};
use tower::Service as _;

use super::report::{CheckLine, Report};
use crate::config::Config;
use crate::genesys::error::CallError;
use crate::genesys::exchange::Wire;

/// Longest wait for a name or a host.
const PATIENCE: Duration = Duration::from_secs(5);
/// More than the second to which `Date` is rounded, and the time that the answer takes.
const SKEW_NOTED: Duration = Duration::from_secs(5);
/// With more, tokens of an issuer and certificates are misjudged.
const SKEW_WRONG: Duration = Duration::from_secs(60);

/// Whether both hosts answer HTTP.
pub(super) async fn check(config: &Config, report: &mut Report) -> bool {
    let (api, login) = match config.genesys.urls() {
        Ok(urls) => urls,
        Err(error) => {
            report.add(CheckLine::fail("hosts", error, "name the region, or both URLs"));
            return false;
        }
    };
    let wire = match Wire::new(&config.genesys, PATIENCE) {
        Ok(wire) => wire,
        Err(error) => {
            report.add(CheckLine::fail("hosts", error, "correct the setting that is named"));
            return false;
        }
    };
    let api = host(config, &wire, "API host", &api, report).await;
    let login = host(config, &wire, "login host", &login, report).await;
    let dates = [&api, &login].into_iter().flatten().filter_map(date);
    match dates.min() {
        Some(skew) => report.add(clock(skew)),
        None => report.add(CheckLine::skipped("clock", "no answer had a date")),
    }
    api.is_some() && login.is_some()
}

/// The headers of whatever the host answers: any answer proves name, route and TLS.
async fn host(config: &Config, wire: &Wire, name: &'static str, url: &str, report: &mut Report) -> Option<HeaderMap> {
    let uri: Uri = url.parse().ok()?;
    let tls = uri.scheme_str() == Some("https");
    let port = uri.port_u16().unwrap_or(if tls { 443 } else { 80 });
    let authority = uri.host().unwrap_or_default();
    // Behind a proxy, it is the proxy that looks up names.
    if config.genesys.proxy.is_none() {
        let bare = authority.trim_start_matches('[').trim_end_matches(']');
        let found = timeout(PATIENCE, tokio::net::lookup_host((bare, port))).await;
        if !found.is_ok_and(|found| found.is_ok_and(|mut addrs| addrs.next().is_some())) {
            let text = format!("{url}: the name {authority} is not known here");
            report.add(CheckLine::fail(name, text, "check genesys.region, and the name service (DNS) of this machine"));
            return None;
        }
    }
    let started = Instant::now();
    let request = Request::get(format!("{}/", url.trim_end_matches('/'))).body(Bytes::new()).ok()?;
    let failed = |cause: &str| {
        let remedy = if cause.to_ascii_lowercase().contains("certificate") {
            "trust the CA of what stands in between (genesys.ca_file), or correct this machine's clock or CA certificates"
        } else {
            "check firewall, genesys.proxy and genesys.region"
        };
        CheckLine::fail(name, format!("{url}: {cause}"), remedy)
    };
    match timeout(PATIENCE, wire.clone().call(request)).await {
        Ok(Ok(answer)) => {
            let secured = if tls { "TLS" } else { "no TLS: the client secret goes in the clear" };
            let detail = format!("{url} answers ({secured}, {} ms)", started.elapsed().as_millis());
            report.add(if tls {
                CheckLine::ok(name, detail)
            } else {
                CheckLine::warn(name, detail, "use https except for tests")
            });
            Some(answer.headers().clone())
        }
        Ok(Err(CallError::Connect(cause))) => {
            report.add(failed(&cause.to_string()));
            None
        }
        Ok(Err(error)) => {
            report.add(failed(&error.to_string()));
            None
        }
        Err(_) => {
            report.add(failed("no answer in 5 s"));
            None
        }
    }
}

/// How far the answer's clock is from ours.
fn date(headers: &HeaderMap) -> Option<Duration> {
    let theirs = httpdate::parse_http_date(headers.get(header::DATE)?.to_str().ok()?).ok()?;
    let ours = SystemTime::now();
    Some(ours.duration_since(theirs).or_else(|_| theirs.duration_since(ours)).unwrap_or_default())
}

fn clock(skew: Duration) -> CheckLine {
    let text = format!("{} s from Genesys Cloud's", skew.as_secs());
    let remedy = "let this machine keep its clock by NTP";
    match skew {
        skew if skew >= SKEW_WRONG => CheckLine::fail("clock", text, remedy),
        skew if skew >= SKEW_NOTED => CheckLine::warn("clock", text, remedy),
        _ => CheckLine::ok("clock", "agrees with Genesys Cloud's"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::check::report::Report;

    fn verdict(seconds: u64) -> String {
        let mut report = Report::default();
        report.add(clock(Duration::from_secs(seconds)));
        serde_json::to_value(report.items()).unwrap()[0]["result"].as_str().unwrap().to_owned()
    }

    #[test]
    fn a_clock_that_is_off_is_noted_and_one_that_is_far_off_fails() {
        assert_eq!((verdict(1), verdict(5), verdict(60)), ("ok".to_owned(), "warn".to_owned(), "fail".to_owned()));
    }

    #[test]
    fn the_date_header_is_read_in_both_directions() {
        let now = SystemTime::now();
        for at in [now + Duration::from_secs(100), now - Duration::from_secs(100)] {
            let mut headers = HeaderMap::new();
            headers.insert(header::DATE, httpdate::fmt_http_date(at).parse().unwrap());
            let skew = date(&headers).unwrap();
            assert!(skew >= Duration::from_secs(98) && skew <= Duration::from_secs(102), "{skew:?}");
        }
        assert_eq!(date(&HeaderMap::new()), None);
    }
}
