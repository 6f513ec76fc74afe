//! Keeps web pages away from a service that listens on loopback.
//!
//! A page in a browser on the same machine can send requests to `127.0.0.1`, directly or through a name of its own
//! that resolves there. Such requests are recognised by their `Host`, `Origin` or `Sec-Fetch-Site`.

use std::net::IpAddr;

use http::header::{HOST, ORIGIN};
use http::uri::Authority;
use http::{HeaderMap, HeaderName, Uri};

use super::refusal::Refusal;

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
/// Headers that reverse proxies and CDNs add about the caller behind them, besides those that begin with `x-forwarded`.
const FORWARDING: [&str; 10] = [
    "forwarded",
    "forwarded-for",
    "via",
    "x-real-ip",
    "x-client-ip",
    "x-cluster-client-ip",
    "x-original-forwarded-for",
    "x-envoy-external-address",
    "true-client-ip",
    "cf-connecting-ip",
];

/// Checks that a request without a key, on loopback, was made on this machine, and not forwarded by a proxy here for a
/// caller elsewhere. A proxy is recognised by a header that it adds; `configured` is one more such header.
///
/// # Errors
/// [`Refusal::ForwardedWithoutKey`], with that header.
pub fn check_direct(headers: &HeaderMap, configured: &HeaderName) -> Result<(), Refusal> {
    let forwards = |name: &str| name.starts_with("x-forwarded") || FORWARDING.contains(&name);
    match headers.keys().find(|name| *name == configured || forwards(name.as_str())) {
        Some(name) => Err(Refusal::ForwardedWithoutKey(name.clone())),
        None => Ok(()),
    }
}

/// Checks a request to a service on loopback. Requests without an `Origin`, or with our own, pass.
///
/// # Errors
/// [`Refusal::ForeignOrigin`], with the header that shows another site.
pub fn check(headers: &HeaderMap, uri: &Uri) -> Result<(), Refusal> {
    check_site(headers, uri, is_loopback)
}

/// As [`check`], for a request that a trusted proxy forwarded. `Host` is the name by which callers know the proxy, so
/// it may be any; `Origin` must match it.
///
/// # Errors
/// As [`check`].
pub fn check_behind_proxy(headers: &HeaderMap, uri: &Uri) -> Result<(), Refusal> {
    check_site(headers, uri, |_| true)
}

fn check_site(headers: &HeaderMap, uri: &Uri, is_ours: impl Fn(&str) -> bool) -> Result<(), Refusal> {
    let foreign = |what| Err(Refusal::ForeignOrigin(what));
    let mut hosts = headers.get_all(HOST).iter().map(|host| host.to_str().ok().and_then(|host| host.parse().ok()));
    // The target's own authority, if there is one, outranks `Host` (RFC 9112, 3.2.2).
    let host: Option<Authority> = match (uri.authority(), hosts.next()) {
        (Some(authority), _) => Some(authority.clone()),
        (None, Some(host)) => host,
        // Browsers always send a host.
        (None, None) => return check_fetch(headers),
    };
    let Some(host) = host else { return foreign("Host") };
    if hosts.next().is_some() || !is_ours(host.host()) {
        return foreign("Host");
    }
    for origin in headers.get_all(ORIGIN) {
        // On the same origin, `Origin` is the scheme and `Host`. Another port on loopback is another site.
        let origin = origin.to_str().ok().and_then(|origin| origin.parse::<Uri>().ok());
        if origin.as_ref().and_then(Uri::authority) != Some(&host) {
            return foreign("Origin");
        }
    }
    check_fetch(headers)
}

fn check_fetch(headers: &HeaderMap) -> Result<(), Refusal> {
    let sites = headers.get_all(SEC_FETCH_SITE);
    if sites.iter().all(|site| matches!(site.as_bytes(), b"same-origin" | b"none")) {
        Ok(())
    } else {
        Err(Refusal::ForeignOrigin("Sec-Fetch-Site"))
    }
}

fn is_loopback(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost") || bare.parse::<IpAddr>().is_ok_and(|addr| addr.to_canonical().is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    const THEIRS: HeaderName = HeaderName::from_static("x-our-proxy");

    fn judge(headers: &[(&'static str, &str)]) -> Result<(), Refusal> {
        let headers =
            headers.iter().map(|(name, value)| (http::HeaderName::from_static(name), value.parse().unwrap())).collect();
        check(&headers, &Uri::from_static("/livez"))
    }

    #[test]
    fn own_requests_pass() {
        for headers in [
            &[("host", "127.0.0.1:8080")][..],
            &[("host", "localhost:8080")],
            &[("host", "[::1]:8080")],
            &[("host", "127.0.0.1:8080"), ("origin", "http://127.0.0.1:8080"), ("sec-fetch-site", "same-origin")],
            &[("host", "localhost:8080"), ("origin", "http://localhost:8080")],
            &[("host", "localhost"), ("origin", "http://localhost")],
            &[("host", "localhost:8080"), ("sec-fetch-site", "none")],
            &[],
        ] {
            assert_eq!(judge(headers), Ok(()), "{headers:?}");
        }
    }

    #[test]
    fn requests_of_other_sites_are_refused() {
        for (headers, what) in [
            (&[("host", "evil.example:8080")][..], "Host"),
            (&[("host", "localhost.evil.example")], "Host"),
            (&[("host", "127.0.0.1.evil.example")], "Host"),
            (&[("host", "192.0.2.1:8080")], "Host"),
            (&[("host", "a b")], "Host"),
            (&[("host", "localhost:8080"), ("host", "evil.example")], "Host"),
            (&[("host", "127.0.0.1:8080"), ("origin", "https://evil.example")], "Origin"),
            (&[("host", "127.0.0.1:8080"), ("origin", "null")], "Origin"),
            (&[("host", "127.0.0.1:8080"), ("origin", "http://127.0.0.1:3000")], "Origin"),
            (&[("host", "127.0.0.1:8080"), ("origin", "/")], "Origin"),
            (&[("host", "127.0.0.1:8080"), ("origin", "http://localhost.evil.example:8080")], "Origin"),
            (&[("host", "127.0.0.1:8080"), ("sec-fetch-site", "cross-site")], "Sec-Fetch-Site"),
            (&[("host", "127.0.0.1:8080"), ("sec-fetch-site", "same-site")], "Sec-Fetch-Site"),
            (&[("sec-fetch-site", "cross-site")], "Sec-Fetch-Site"),
        ] {
            // `collect` into a map keeps the last of a name; two hosts need `append`.
            let mut map = HeaderMap::new();
            for (name, value) in headers {
                map.append(*name, value.parse().unwrap());
            }
            let judged = check(&map, &Uri::from_static("/"));
            assert_eq!(judged, Err(Refusal::ForeignOrigin(what)), "{headers:?}");
        }
    }

    #[test]
    fn behind_a_trusted_proxy_any_host_is_ours_and_the_origin_must_fit_it() {
        let judge = |origin: &'static str| {
            let headers = [(HOST, "hangup.example".parse().unwrap()), (ORIGIN, origin.parse().unwrap())];
            check_behind_proxy(&headers.into_iter().collect(), &Uri::from_static("/"))
        };
        assert_eq!(judge("https://hangup.example"), Ok(()));
        assert_eq!(judge("https://evil.example"), Err(Refusal::ForeignOrigin("Origin")));
    }

    #[test]
    fn forwarding_headers_give_a_proxy_away() {
        let header = |name: &'static str| [(http::HeaderName::from_static(name), "x".parse().unwrap())];
        for name in
            FORWARDING.into_iter().chain(["x-forwarded-for", "x-forwarded-host", "x-forwarded-server", "x-forwarded"])
        {
            let headers = header(name).into_iter().collect();
            assert_eq!(
                check_direct(&headers, &THEIRS),
                Err(Refusal::ForwardedWithoutKey(HeaderName::from_static(name)))
            );
        }
        let theirs = Err(Refusal::ForwardedWithoutKey(THEIRS));
        assert_eq!(
            check_direct(&header("x-our-proxy").into_iter().collect(), &THEIRS),
            theirs,
            "the one that is configured"
        );
        assert_eq!(check_direct(&header("x-request-id").into_iter().collect(), &THEIRS), Ok(()));
    }

    #[test]
    fn an_absolute_target_is_the_host() {
        let target = Uri::from_static("http://evil.example/livez");
        let headers = [(HOST, "localhost:8080".parse().unwrap())].into_iter().collect();
        let judged = check(&headers, &target);
        assert_eq!(judged, Err(Refusal::ForeignOrigin("Host")));
    }
}
