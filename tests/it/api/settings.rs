//! Configuration: every wrong value is reported at start with its key, the value and the remedy.

use std::collections::HashMap;
use std::io::Write as _;

use hangup::config::{Config, OperationChoice};

fn load(pairs: &[(&str, &str)]) -> Result<Config, String> {
    let environment: HashMap<_, _> = pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    Config::from_parts(None, environment).map_err(|e| e.to_string())
}

#[test]
fn the_environment_overrides_the_file_and_the_file_the_defaults() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    writeln!(file, "[genesys]\noperation = \"post\"\nregion = \"eu-west-1\"\n[retry]\nmax_attempts = 7").unwrap();
    let environment = HashMap::from([("HANGUP__GENESYS__OPERATION".to_owned(), "patch".to_owned())]);
    let config = Config::from_parts(Some(file.path()), environment).unwrap();
    assert_eq!(config.genesys.operation, OperationChoice::Patch);
    assert_eq!(config.genesys.urls().unwrap().0, "https://api.mypurecloud.ie");
    assert_eq!(config.retry.max_attempts, 7);
    assert_eq!(config.limits.max_in_flight, 2048);
}

#[test]
fn values_of_every_kind_come_from_the_environment() {
    let config = load(&[
        ("HANGUP__GENESYS__CLIENT_SECRET", "0123456789"),
        ("HANGUP__AUTH__ANONYMOUS_PERMISSIONS", "read, teardown"),
        ("HANGUP__AUTH__ANONYMOUS", "true"),
        ("HANGUP__SERVER__BIND", "0.0.0.0:9000"),
        ("HANGUP__DISCONNECT__DEADLINE", "150s"),
        ("HANGUP__SERVER__MAX_BODY", "8 KiB"),
        ("HANGUP__TOKEN__RENEW_AT", "0.5"),
        ("HANGUP__GENESYS__REGION", ""),
    ])
    .unwrap();
    assert_eq!(secrecy::ExposeSecret::expose_secret(config.genesys.client_secret.as_ref().unwrap()), "0123456789");
    assert_eq!(config.auth.anonymous_permissions.0, ["read", "teardown"]);
    assert_eq!((config.server.bind.port(), config.server.max_body.as_u64()), (9000, 8192));
    assert_eq!(config.disconnect.deadline.as_secs(), 150);
    assert!(config.genesys.region.is_none(), "an empty variable is no value");
}

#[test]
fn wrong_values_are_reported_with_key_value_and_remedy() {
    for (key, value, expected) in [
        ("HANGUP__GENESYS__REGION", "eu-west-9", ["genesys.region", "eu-west-9", "ap-southeast-1"]),
        (
            "HANGUP__GENESYS__REGOIN",
            "eu-west-1",
            ["HANGUP__GENESYS__REGOIN", "unknown key \"genesys.regoin\"", "config/default.toml"],
        ),
        ("HANGUP__NOSUCH__KEY", "1", ["HANGUP__NOSUCH__KEY", "unknown key \"nosuch.key\"", "config/default.toml"]),
        ("HANGUP__DISCONNECT__DEADLINE", "10", ["disconnect.deadline", "\"10\"", "10s"]),
        ("HANGUP__DISCONNECT__DEADLINE", "0s", ["disconnect.deadline", "0s", "longer"]),
        ("HANGUP__GENESYS__OPERATION", "maybe", ["operation", "maybe", "auto"]),
        ("HANGUP__TOKEN__RENEW_AT", "2", ["token.renew_at", "2", "between"]),
        ("HANGUP__LIMITS__MAX_IN_FLIGHT", "0", ["limits.max_in_flight", "0", "at least 1"]),
        ("HANGUP__AUTH__ANONYMOUS_PERMISSIONS", "fly", ["auth.anonymous_permissions", "fly", "teardown"]),
        ("HANGUP__GENESYS__API_URL", "https://api.example.com", ["genesys.api_url", "login_url", "together"]),
        ("HANGUP__SERVER__BIND", "everywhere", ["bind", "everywhere", ""]),
        ("HANGUP__SERVER__TLS__CERT", "/x.pem", ["HANGUP__SERVER__TLS__CERT", "server.tls.key", "both"]),
        ("HANGUP__SERVER__TLS__CLIENT_CA", "/x.pem", ["HANGUP__SERVER__TLS__CLIENT_CA", "server.tls.cert", "needs"]),
        ("HANGUP__GENESYS__CLIENT_KEY", "/x.pem", ["HANGUP__GENESYS__CLIENT_KEY", "genesys.client_cert", "both"]),
        ("HANGUP__TELEMETRY__LOG_LEVEL", "loud=very", ["telemetry.log_level", "loud=very", "info"]),
        ("HANGUP_GENESYS__REGOIN", "eu-west-1", ["HANGUP_GENESYS__REGOIN", "unknown key", "genesys.regoin"]),
        ("HANGUP__GENESYS_REGION", "eu-west-1", ["HANGUP__GENESYS_REGION", "unknown key", "HANGUP__GENESYS__REGION"]),
        ("HANGUP_DISCONNECT_MODE", "observe", ["HANGUP_DISCONNECT_MODE", "no effect", "HANGUP__DISCONNECT__MODE"]),
        ("HANGUP__SERVER", "x", ["HANGUP__SERVER", "unknown key", "\"server\""]),
        ("HANGUP__LIMITS__MAX_IN_FLIGHT", "18446744073709551615", ["limits.max_in_flight", "at most", "1000000"]),
        ("HANGUP__SERVER__HEADER_TIMEOUT", "3y", ["server.header_timeout", "3years", "10m"]),
        ("HANGUP__TOKEN__UNACCEPTED_INTERVAL", "99999y", ["token.unaccepted_interval", "100 years", ""]),
        (
            "HANGUP__SERVER__TRUSTED_PROXIES",
            "proxy.internal",
            ["server.trusted_proxies", "proxy.internal", "10.0.0.0/8"],
        ),
        (
            "HANGUP__SERVER__FORWARDED_HEADER",
            "x forwarded",
            ["server.forwarded_header", "x forwarded", "x-forwarded-for"],
        ),
        ("HANGUP__RETRY__BACKOFF_MIN", "5s", ["retry.backoff_min = \"5s\"", "retry.backoff_max = \"4s\"", ""]),
    ] {
        let error = load(&[(key, value)]).unwrap_err();
        for word in expected {
            assert!(error.contains(word), "{key}={value}: no \"{word}\" in: {error}");
        }
        assert!(error.contains(key) || key.contains("TLS"), "{key}={value}: does not name its source: {error}");
    }
}

#[test]
fn a_variable_with_one_underscore_sets_the_same_key() {
    assert_eq!(load(&[("HANGUP_GENESYS__REGION", "eu-west-1")]).unwrap().genesys.region.as_deref(), Some("eu-west-1"));
    assert!(load(&[("HANGUP_GENESYS__REGION", "eu-west-1"), ("HANGUP__GENESYS__REGION", "eu-west-1")]).is_ok());
    let both = load(&[("HANGUP_GENESYS__REGION", "eu-west-1"), ("HANGUP__GENESYS__REGION", "eu-west-2")]).unwrap_err();
    assert!(both.contains("HANGUP_GENESYS__REGION") && both.contains("HANGUP__GENESYS__REGION"), "{both}");
    // Kubernetes sets these for a service named "hangup".
    assert!(load(&[("HANGUP_PORT", "tcp://10.0.0.1:80"), ("HANGUP_SERVICE_HOST", "10.0.0.1")]).is_ok());
}

#[test]
fn the_domain_of_the_address_bar_is_a_region() {
    for (region, api) in [
        ("eusc-de-east-1", "https://api.edee1.eusc-pure.cloud"),
        ("apps.mypurecloud.ie", "https://api.mypurecloud.ie"),
        ("use2.us-gov-pure.cloud", "https://api.use2.us-gov-pure.cloud"),
    ] {
        assert_eq!(load(&[("HANGUP__GENESYS__REGION", region)]).unwrap().genesys.urls().unwrap().0, api);
    }
}

#[test]
fn a_whole_number_may_be_written_with_a_point() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(b"[retry]\nmax_attempts = 3.0\n").unwrap();
    let config = Config::from_parts(Some(file.path()), HashMap::new()).unwrap();
    assert_eq!(u64::from(config.retry.max_attempts), 3);
}

#[test]
fn what_is_wrong_in_a_file_is_reported_with_its_line() {
    for (text, expected) in [
        ("[server]\n\nbind = \n", ["line 3", "not valid TOML", ""]),
        ("[server]\nbindd = \"127.0.0.1:1\"\n", ["line 2", "unknown key \"server.bindd\"", "config/default.toml"]),
        ("[server]\n[servr]\nbind = \"127.0.0.1:1\"\n", ["line 2", "unknown key \"servr\"", ""]),
        ("[limits]\n# none\nmax_in_flight = 0\n", ["line 3", "limits.max_in_flight = 0", "at least 1"]),
        ("[retry]\nmax_attempts = \"many\"\n", ["line 2", "retry.max_attempts", "many"]),
        ("[retry]\nmax_attempts = 1.5\n", ["line 2", "retry.max_attempts = 1.5", "fraction"]),
        ("[auth]\nanonymous = 0.5\n", ["line 2", "auth.anonymous = 0.5", "fraction"]),
        ("[audit]\nmax_size = \"0 B\"\n", ["line 2", "audit.max_size = \"0 B\"", "64.0 KiB"]),
        ("[auth.jwt]\npermissions_claim = \"\"\n", ["line 2", "auth.jwt.permissions_claim", "1 to 256"]),
        ("[disconnect]\ndeadline = 10\n", ["line 2", "disconnect.deadline", "10s"]),
        ("server = 1\n", ["line 1", "unknown key \"server\"", ""]),
    ] {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        let error = Config::from_parts(Some(file.path()), HashMap::new()).unwrap_err().to_string();
        assert!(error.contains(&*file.path().to_string_lossy()), "{error}");
        for word in expected {
            assert!(error.contains(word), "{text:?}: no \"{word}\" in: {error}");
        }
        assert!(!error.contains('\n'), "one line: {error:?}");
    }
}

#[test]
fn a_byte_order_mark_and_a_missing_final_newline_do_not_break_a_file() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all("\u{feff}[genesys]\r\nregion = \"eu-west-1\"".as_bytes()).unwrap();
    let config = Config::from_parts(Some(file.path()), HashMap::new()).unwrap();
    assert_eq!(config.genesys.region.as_deref(), Some("eu-west-1"));
}

#[test]
fn serving_needs_an_upstream_credentials_and_trusted_callers() {
    let base = [
        ("HANGUP__GENESYS__REGION", "eu-west-1"),
        ("HANGUP__GENESYS__CLIENT_ID", "id"),
        ("HANGUP__GENESYS__CLIENT_SECRET", "s"),
    ];
    let check = |pairs: &[(&str, &str)]| load(pairs).and_then(|c| c.check_serve().map_err(|e| e.to_string()));
    assert_eq!(check(&base), Ok(()));
    assert!(check(&[]).unwrap_err().contains("genesys.region"));
    assert!(check(&base[..1]).unwrap_err().contains("HANGUP__GENESYS__CLIENT_ID"));
    assert!(check(&base[..2]).unwrap_err().contains("HANGUP__GENESYS__CLIENT_SECRET"));
    for (key, blank) in [("GENESYS__CLIENT_ID", " "), ("GENESYS__CLIENT_SECRET", "\u{feff}\r\n")] {
        let key = format!("HANGUP__{key}");
        let error = check(&[&base[..], &[(&*key, blank)]].concat()).unwrap_err();
        assert!(error.contains(&key), "blanks are none: {error}");
    }
    let open = [&base[..], &[("HANGUP__SERVER__BIND", "0.0.0.0:8080")]].concat();
    assert!(check(&open).unwrap_err().contains("auth.keys_file"));
    assert_eq!(check(&[&open[..], &[("HANGUP__AUTH__ANONYMOUS", "true")]].concat()), Ok(()));
}

#[test]
fn what_the_upstream_connection_cannot_use_is_refused_at_start() {
    for (key, value, expected) in [
        ("GENESYS__PROXY", "socks5://proxy.internal:1080", "SOCKS proxies are not supported"),
        ("GENESYS__PROXY", "SOCKS5H://me:canary@proxy.internal:1080", "SOCKS proxies are not supported"),
        ("GENESYS__PROXY", "proxy.internal", "http://proxy.internal:3128"),
        ("GENESYS__CLIENT_CERT", "/etc/hangup/client.crt", "give both or none"),
        ("GENESYS__CLIENT_KEY", "/etc/hangup/client.key", "give both or none"),
        ("DISCONNECT__CONNECT_TIMEOUT", "0s", "longer than nothing"),
        ("DISCONNECT__CONNECT_TIMEOUT", "2m", "at most \"1m\""),
    ] {
        let error = load(&[(&format!("HANGUP__{key}"), value)]).unwrap_err();
        assert!(error.contains(expected), "{key}: no \"{expected}\" in: {error}");
        assert!(!error.contains("canary"), "{error}");
    }
    assert_eq!(Config::defaults().disconnect.connect_timeout, std::time::Duration::from_secs(1));
    assert!(load(&[("HANGUP__GENESYS__PROXY", "http://me:word@proxy.internal:3128")]).is_ok());
}

#[test]
fn secrets_are_never_shown() {
    let config =
        load(&[("HANGUP__GENESYS__CLIENT_SECRET", "canary"), ("HANGUP__SANDBOX__CLIENT_SECRET", "canary")]).unwrap();
    assert!(!format!("{config:?}").contains("canary"));
    assert!(!toml::to_string(&config).unwrap().contains("canary"));
    let in_queries = load(&[
        ("HANGUP__STORE__URL", "postgres://db/hangup?user=app&password=canary&sslmode=require"),
        ("HANGUP__TELEMETRY__OTLP_ENDPOINT", "https://collector/?api-key=canary"),
    ]);
    let shown = format!("{:?}", in_queries.unwrap());
    assert!(!shown.contains("canary") && shown.contains("user=app&password=[not shown]&sslmode=require"), "{shown}");
    let api_url = "https://user:canary@api.example.com";
    let error =
        load(&[("HANGUP__GENESYS__API_URL", api_url), ("HANGUP__GENESYS__LOGIN_URL", "https://x")]).unwrap_err();
    assert!(error.contains("genesys.api_url") && !error.contains("canary"), "{error}");
}
