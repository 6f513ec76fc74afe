//! Requests: arbitrary ones, most of them near to valid, and those that are kept in files.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

/// One request, as bytes that `http` may or may not take.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) headers: Vec<(String, Vec<u8>)>,
    pub(crate) body: Vec<u8>,
}

/// Ids that exist in the sandbox: conversation and participant.
pub(crate) type Ids = (String, String);

impl Request {
    /// A request line, header lines, an empty line, a body; `{cid}` and `{pid}` stand for ids that exist.
    pub(crate) fn read(text: &[u8], (cid, pid): &Ids) -> Option<Self> {
        let end = text.windows(2).position(|w| w == b"\n\n")?;
        let head = std::str::from_utf8(&text[..end]).ok()?.replace("{cid}", cid).replace("{pid}", pid);
        let mut lines = head.lines();
        let (method, path) = lines.next()?.split_once(' ')?;
        let headers = lines
            .map(|line| line.split_once(": ").map(|(name, value)| (name.to_owned(), value.as_bytes().to_vec())))
            .collect::<Option<Vec<_>>>()?;
        let body = text[end + 2..].to_vec();
        Some(Self { method: method.to_owned(), path: path.to_owned(), headers, body })
    }
}

fn id(known: &str) -> impl Strategy<Value = String> + use<> {
    let known = known.to_owned();
    prop_oneof![
        20 => Just(known.clone()),
        2 => Just(known.to_uppercase()),
        2 => "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}",
        2 => "[0-9a-fA-F-]{30,40}",
        1 => Just(known.replace('-', "")),
        1 => Just(format!("{{{known}}}")),
        1 => Just(format!("urn:uuid:{known}")),
        1 => Just(String::new()),
        1 => select(vec![".", "..", "%00", "%2e%2e", "%2F", "%", "%zz", "null", "undefined", "$cid", "{{id}}"]).prop_map(str::to_owned),
        1 => "[!-~]{1,40}",
        1 => "[a-z]{500,600}",
    ]
}

fn line(ids: Ids) -> impl Strategy<Value = (String, String)> {
    let (cid, pid) = ids;
    let medium =
        select(vec!["calls", "callbacks", "chats", "emails", "messages", "socials", "socialExpressions", "faxes", ""]);
    let routes = select(vec![
        ("POST", "/conversations/{c}/participants/{p}/disconnect"),
        ("POST", "/conversations/{c}/participants/{p}/disconnect"),
        ("POST", "/conversations/{c}/participants/{p}/disconnect/"),
        ("POST", "/conversations/{c}//participants/{p}/disconnect"),
        ("GET", "/conversations/{c}/participants/{p}"),
        ("GET", "/conversations/{c}"),
        ("GET", "/conversations/{c}/participants"),
        ("POST", "/conversations/{c}/participants/disconnect"),
        ("POST", "/conversations/{c}/disconnect"),
        ("POST", "/oauth/token"),
        ("POST", "/api/v2/conversations/{c}/participants/{p}/disconnect"),
        ("PATCH", "/api/v2/conversations/{c}/participants/{p}"),
        ("PATCH", "/api/v2/conversations/{m}/{c}/participants/{p}"),
        ("GET", "/api/v2/conversations/{c}"),
        ("GET", "/api/v2/conversations/{m}/{c}"),
        ("GET", "/api/v2/users/me"),
        ("GET", "/livez"),
        ("GET", "/readyz"),
        ("GET", "/nowhere"),
        ("GET", "/"),
        ("OPTIONS", "*"),
    ]);
    let query = prop_oneof![
        6 => Just(String::new()),
        1 => Just("?dryRun=true".to_owned()),
        1 => Just("?dryRun=yes".to_owned()),
        1 => Just("?wait=0".to_owned()),
        1 => Just("?purpose=agent&state=connected".to_owned()),
        1 => "\\?[!-~]{0,60}",
    ];
    let method = prop_oneof![
        8 => Just(None),
        1 => select(vec!["GET", "POST", "PATCH", "PUT", "DELETE", "HEAD", "OPTIONS", "TRACE", "CONNECT", "post", "X-ODD"]).prop_map(Some),
    ];
    (routes, method, id(&cid), id(&pid), medium, query).prop_map(|((usual, route), method, c, p, m, query)| {
        let path = route.replace("{c}", &c).replace("{p}", &p).replace("{m}", m);
        (method.unwrap_or(usual).to_owned(), format!("{path}{query}"))
    })
}

fn header() -> impl Strategy<Value = (String, Vec<u8>)> {
    let known = |name: &'static str, values: Vec<&'static str>| {
        select(values).prop_map(move |value| (name.to_owned(), value.as_bytes().to_vec()))
    };
    prop_oneof![
        3 => known("content-type", vec![
            "application/json", "application/x-www-form-urlencoded", "text/plain", "multipart/form-data", "application/json; charset=utf-16", ";;;"]),
        2 => known("accept", vec!["*/*", "application/json", "application/problem+json", "text/html", "application/*;q=0.1", ",;q=,", ""]),
        2 => known("prefer", vec!["return=minimal", "wait=0", "wait=-1", "wait=99999999999999999999", "wait=0, return=minimal, wait=1", "=;=,"]),
        1 => known("if-match", vec!["*", "\"\"", "W/\"abcdefgh\"", "abcdefgh,", ",;\"", "\u{fc}"]),
        1 => known("host", vec!["127.0.0.1", "localhost:8080", "evil.example", "[::1]", ""]),
        1 => known("origin", vec!["http://evil.example", "null", "http://localhost"]),
        1 => known("sec-fetch-site", vec!["cross-site", "same-origin", "none"]),
        1 => known("authorization", vec!["Bearer x", "Basic eDp5", "Basic !!!", "Bearer", "Digest a=b"]),
        1 => known("idempotency-key", vec!["k", "", "a b", "\u{fc}"]),
        1 => known("content-length", vec!["0", "999999999999", "-1", "x"]),
        1 => known("x-forwarded-for", vec!["1.2.3.4", "unknown, , 5.6.7.8", "[::1]:99"]),
        1 => known("traceparent", vec!["00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "00-x-y-z", "----"]),
        1 => (select(vec!["x-request-id", "inin-correlation-id", "x-api-key", "prefer", "accept"]), vec(any::<u8>(), 0..200))
            .prop_map(|(name, value)| (name.to_owned(), value)),
        1 => ("[a-z-]{1,20}", vec(any::<u8>(), 0..40)),
    ]
}

fn body() -> impl Strategy<Value = Vec<u8>> {
    let json = select(vec![
        "",
        "{}",
        "null",
        "[]",
        "true",
        "7",
        "\"x\"",
        "{",
        "{\"reason\":\"user_request\"}",
        "{\"reason\":null,\"cause\":\"\"}",
        "{\"reason\":{}}",
        "{\"reason\":\"\\ud800\"}",
        "{\"reason\":\"a\",\"reason\":\"b\"}",
        "{\"state\":\"disconnected\"}",
        "{\"state\":\"DISCONNECTED\",\"muted\":null}",
        "{\"state\":\"connected\"}",
        "{\"state\":\"disconnected\",\"muted\":true}",
        "{\"all\":true}",
        "{\"all\":\"true\"}",
        "{\"all\":false}",
        "{\"all\":true,\"x\":1}",
        "{\"purpose\":\"agent\"}",
        "{\"purpose\":[\"agent\",\"customer\"],\"max\":9}",
        "{\"purpose\":\"agent\",\"max\":0}",
        "{\"purpose\":\"agent\",\"max\":-1}",
        "{\"purpose\":\"agent\",\"max\":1e99}",
        "{\"purpose\":[]}",
        "{\"userId\":\"x\"}",
        "{\"address\":\"tel:+1 317\"}",
        "{\"except\":\"x\"}",
        "{\"except\":[]}",
        "{\"purpose\":\"\"}",
        "{\"nope\":1}",
        "grant_type=client_credentials",
        "reason=too+loud",
        "reason=%ff&cause=%",
        "&&==&",
    ]);
    prop_oneof![
        8 => json.prop_map(|text| text.as_bytes().to_vec()),
        1 => vec(any::<u8>(), 0..300),
        1 => (1_usize..200).prop_map(|depth| "[".repeat(depth * 100).into_bytes()),
        1 => (1_usize..40).prop_map(|kib| vec![b' '; kib * 1024]),
        1 => "\\{\"reason\":\"[ -~]{0,80}\"\\}".prop_map(String::into_bytes),
    ]
}

/// Any request.
pub(crate) fn requests(ids: Ids) -> impl Strategy<Value = Request> {
    let line = prop_oneof![12 => line(ids), 1 => "/[!-~]{0,80}".prop_map(|path| ("GET".to_owned(), path))];
    (line, vec(header(), 0..4), body()).prop_map(|((method, path), headers, body)| Request {
        method,
        path,
        headers,
        body,
    })
}
