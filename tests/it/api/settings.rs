//! Configuration: every wrong value is told at start with its key, the value and the remedy.

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
fn wrong_values_are_told_with_key_value_and_remedy() {
    for (key, value, told) in [
        ("HANGUP__GENESYS__REGION", "eu-west-9", ["genesys.region", "eu-west-9", "ap-southeast-1"]),
        ("HANGUP__GENESYS__REGOIN", "eu-west-1", ["regoin", "unknown field", "config/default.toml"]),
        ("HANGUP__NOSUCH__KEY", "1", ["nosuch", "unknown field", "config/default.toml"]),
        ("HANGUP__DISCONNECT__DEADLINE", "10", ["disconnect.deadline", "\"10\"", "10s"]),
        ("HANGUP__DISCONNECT__DEADLINE", "0s", ["disconnect.deadline", "0s", "longer"]),
        ("HANGUP__GENESYS__OPERATION", "maybe", ["operation", "maybe", "auto"]),
        ("HANGUP__TOKEN__RENEW_AT", "2", ["token.renew_at", "2", "between"]),
        ("HANGUP__LIMITS__MAX_IN_FLIGHT", "0", ["limits.max_in_flight", "0", "at least 1"]),
        ("HANGUP__AUTH__ANONYMOUS_PERMISSIONS", "fly", ["auth.anonymous_permissions", "fly", "teardown"]),
        ("HANGUP__GENESYS__API_URL", "https://api.example.com", ["genesys.api_url", "login_url", "together"]),
        ("HANGUP__SERVER__BIND", "everywhere", ["bind", "everywhere", ""]),
        ("HANGUP__SERVER__TLS__CERT", "/x.pem", ["server.tls", "key", "both"]),
        ("HANGUP__TELEMETRY__LOG_LEVEL", "loud=very", ["telemetry.log_level", "loud=very", "info"]),
    ] {
        let error = load(&[(key, value)]).unwrap_err();
        for word in told {
            assert!(error.contains(word), "{key}={value}: no \"{word}\" in: {error}");
        }
    }
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
    let open = [&base[..], &[("HANGUP__SERVER__BIND", "0.0.0.0:8080")]].concat();
    assert!(check(&open).unwrap_err().contains("auth.keys_file"));
    assert_eq!(check(&[&open[..], &[("HANGUP__AUTH__ANONYMOUS", "true")]].concat()), Ok(()));
}

#[test]
fn secrets_are_never_shown() {
    let config =
        load(&[("HANGUP__GENESYS__CLIENT_SECRET", "canary"), ("HANGUP__SANDBOX__CLIENT_SECRET", "canary")]).unwrap();
    assert!(!format!("{config:?}").contains("canary"));
    assert!(!toml::to_string(&config).unwrap().contains("canary"));
}
