use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::FutureExt;
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{EncodingKey, Header, encode, get_current_timestamp};
use rcgen::KeyPair;
use serde_json::json;

use super::fetch::Fetch;
use super::*;
use crate::config::Config;

mod over_http;

/// An issuer without a socket, because sockets do not work on a paused clock.
struct TestIssuer {
    published: Arc<Mutex<Result<Value, String>>>,
    fetches: Arc<AtomicUsize>,
    verifier: Arc<Verifier>,
}

const ISSUER: &str = "https://login.example.com/";

struct Signer {
    id: &'static str,
    key: EncodingKey,
}

impl Signer {
    fn new(id: &'static str) -> Self {
        let pair = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
        Self { id, key: EncodingKey::from_ec_der(&pair.serialize_der()) }
    }

    fn public(&self) -> Value {
        let mut jwk = Jwk::from_encoding_key(&self.key, Algorithm::ES256).unwrap();
        jwk.common.key_id = Some(self.id.to_owned());
        serde_json::to_value(jwk).unwrap()
    }

    fn sign(&self, claims: &Value) -> String {
        self.sign_as("JWT", claims)
    }

    fn sign_as(&self, typ: &str, claims: &Value) -> String {
        let kid = Some(self.id.to_owned());
        let header = Header { kid, typ: Some(typ.to_owned()), ..Header::new(Algorithm::ES256) };
        encode(&header, claims, &self.key).unwrap()
    }
}

fn settings() -> config::Jwt {
    let mut jwt = Config::defaults().auth.jwt;
    jwt.issuer = Some(ISSUER.to_owned());
    jwt.audience = Some("hangup".to_owned());
    jwt
}

fn claims() -> Value {
    json!({
        "iss": ISSUER, "aud": ["other", "hangup"], "sub": "alice",
        "exp": get_current_timestamp() + 600, "permissions": ["read", "teardown", "sing"],
    })
}

fn with(member: &str, value: Value) -> Value {
    let mut claims = claims();
    claims[member] = value;
    claims
}

fn set(signers: &[&Signer]) -> Result<Value, String> {
    Ok(json!({"keys": signers.iter().map(|signer| signer.public()).collect::<Vec<_>>()}))
}

impl TestIssuer {
    fn new(published: Result<Value, String>) -> Self {
        let (published, fetches) = (Arc::new(Mutex::new(published)), Arc::new(AtomicUsize::new(0)));
        let (answer, count) = (Arc::clone(&published), Arc::clone(&fetches));
        let fetch: Fetch = Arc::new(move || {
            count.fetch_add(1, Ordering::Relaxed);
            let answer = Arc::clone(&answer);
            async move {
                tokio::time::sleep(Duration::from_millis(100)).await;
                answer.lock().unwrap().clone()
            }
            .boxed()
        });
        let jwt = settings();
        let validation = validation(&jwt, jwt.issuer.as_deref().unwrap()).unwrap();
        let verifier = Arc::new(Verifier::new(Issuer::new(fetch), validation, "permissions"));
        tokio::spawn({
            let verifier = Arc::clone(&verifier);
            async move { verifier.watch().await }
        });
        Self { published, fetches, verifier }
    }

    fn publish(&self, published: Result<Value, String>) {
        *self.published.lock().unwrap() = published;
    }

    fn fetches(&self) -> usize {
        self.fetches.load(Ordering::Relaxed)
    }

    async fn kind(&self, token: &str) -> &'static str {
        self.verifier.verify(token).await.unwrap_err().kind()
    }
}

#[tokio::test(start_paused = true)]
async fn a_good_token_names_its_caller_and_its_permissions() {
    let signer = Signer::new("a");
    let setup = TestIssuer::new(set(&[&signer]));
    let caller = setup.verifier.verify(&signer.sign(&claims())).await.unwrap();
    assert_eq!((caller.kind(), &**caller.identity()), (CallerKind::Token, "jwt:alice"));
    assert!(caller.may(Permission::Read) && caller.may(Permission::Teardown) && !caller.may(Permission::Disconnect));
    let words = signer.sign(&with("permissions", json!("openid disconnect")));
    let caller = setup.verifier.verify(&words).await.unwrap();
    assert!(caller.may(Permission::Disconnect) && !caller.may(Permission::Read));
    let none = setup.verifier.verify(&signer.sign(&with("permissions", json!(7)))).await.unwrap();
    assert_eq!(none.permissions(), Permissions::default());
    assert_eq!(setup.fetches(), 1);
}

#[tokio::test(start_paused = true)]
async fn wrong_tokens_are_refused_for_what_is_wrong() {
    let (signer, stranger) = (Signer::new("a"), Signer::new("a"));
    let setup = TestIssuer::new(set(&[&signer]));
    let now = get_current_timestamp();
    for (token, kind) in [
        (stranger.sign(&claims()), "token_signature"),
        (signer.sign(&with("exp", json!(now - 120))), "token_expired"),
        (signer.sign(&with("nbf", json!(now + 120))), "token_not_yet_valid"),
        (signer.sign(&with("aud", json!("other"))), "token_not_for_us"),
        (signer.sign(&with("aud", json!(null))), "token_not_for_us"),
        (signer.sign(&with("iss", json!("https://evil.example/"))), "token_not_for_us"),
        (signer.sign(&with("iss", json!([ISSUER, "https://evil.example/"]))), "token_not_for_us"),
        (signer.sign(&with("iss", json!([ISSUER]))), "token_not_for_us"),
        (signer.sign(&with("typ", json!("Refresh"))), "token_not_for_us"),
        (signer.sign_as("logout+jwt", &claims()), "token_not_for_us"),
        (signer.sign_as("dpop+jwt", &claims()), "token_not_for_us"),
        (signer.sign(&with("exp", json!(null))), "token_claim"),
        (signer.sign(&with("sub", json!(""))), "token_claim"),
        ("a.b.c".to_owned(), "malformed"),
    ] {
        assert_eq!(setup.kind(&token).await, kind, "{token}");
    }
    for typ in ["JWT", "at+jwt", "application/at+jwt"] {
        assert!(setup.verifier.verify(&signer.sign_as(typ, &claims())).await.is_ok(), "{typ}");
    }
    assert!(setup.verifier.verify(&signer.sign(&with("typ", json!("Bearer")))).await.is_ok());
    let leeway = signer.sign(&with("exp", json!(now - 5)));
    assert!(setup.verifier.verify(&leeway).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_token_ends_at_its_fraction_of_a_second_and_one_far_ahead_never() {
    let signer = Signer::new("a");
    let setup = TestIssuer::new(set(&[&signer]));
    let at = get_current_timestamp() + 600;
    for (exp, expected) in [
        (json!(at), Some(Duration::from_secs(at))),
        (json!(at as f64 + 0.5), Some(Duration::from_millis(at * 1000 + 500))),
        (json!(u64::MAX), None),
        (json!(1e18), Some(Duration::from_secs(1_000_000_000_000_000_000))),
    ] {
        let caller = setup.verifier.verify(&signer.sign(&with("exp", exp.clone()))).await.unwrap();
        let expires = caller.expires().map(|end| end.duration_since(SystemTime::UNIX_EPOCH).unwrap());
        assert_eq!(expires, expected, "{exp}");
    }
}

#[tokio::test(start_paused = true)]
async fn subjects_that_are_cut_or_cleaned_stay_different() {
    let signer = Signer::new("a");
    let setup = TestIssuer::new(set(&[&signer]));
    let long = "x".repeat(MAX_NAME);
    let mut names = std::collections::BTreeSet::new();
    let as_cleaned = name("alice\n");
    for subject in [
        "alice",
        "alice\u{202e}",
        "alice\n",
        &long,
        &format!("{long}y"),
        &format!("{long}z"),
        &as_cleaned,
        "auth0#7",
        "auth0#no-digest-at-all",
    ] {
        let caller = setup.verifier.verify(&signer.sign(&with("sub", json!(subject)))).await.unwrap();
        assert!(!caller.identity().chars().any(is_unprintable));
        names.insert(caller.identity().to_string());
    }
    assert_eq!(names.len(), 9, "{names:?}");
    assert!(names.contains("jwt:auth0#7") && names.contains("jwt:auth0#no-digest-at-all"));
}

#[tokio::test(start_paused = true)]
async fn unsigned_tokens_and_shared_secrets_are_refused() {
    let signer = Signer::new("a");
    let setup = TestIssuer::new(set(&[&signer]));
    setup.verifier.verify(&signer.sign(&claims())).await.unwrap();
    // The classic attack: the public key used as a shared secret.
    let public = signer.public().to_string();
    let header = Header { kid: Some("a".to_owned()), ..Header::new(Algorithm::HS256) };
    let forged = encode(&header, &claims(), &EncodingKey::from_secret(public.as_bytes())).unwrap();
    assert_eq!(setup.kind(&forged).await, "token_signature");
    // {"alg":"none"}
    let signed = signer.sign(&claims());
    let body = signed.split('.').nth(1).unwrap();
    assert_eq!(setup.kind(&format!("eyJhbGciOiJub25lIn0.{body}.")).await, "malformed");
    // A key set with nothing but a shared secret is not used.
    setup.publish(Ok(json!({"keys": [{"kty": "oct", "k": "c2VjcmV0", "kid": "b"}]})));
    tokio::time::sleep(Duration::from_secs(3600)).await;
    assert!(setup.verifier.verify(&signed).await.is_ok() && setup.verifier.failures() > 0);
    for name in ["HS256", "none", "RS1"] {
        let mut jwt = settings();
        jwt.algorithms.0 = vec![name.to_owned()];
        let error = Verifier::open(&jwt).unwrap_err().to_string();
        assert!(error.contains("auth.jwt.algorithms") && error.contains(name), "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_new_key_is_fetched_when_it_is_first_met_and_at_most_every_thirty_seconds() {
    let (old, new, stranger) = (Signer::new("old"), Signer::new("new"), Signer::new("stranger"));
    let setup = TestIssuer::new(set(&[&old]));
    setup.verifier.verify(&old.sign(&claims())).await.unwrap();
    setup.publish(set(&[&old, &new]));
    assert_eq!(setup.kind(&new.sign(&claims())).await, "token_signature");
    assert_eq!(setup.fetches(), 1);

    tokio::time::sleep(issuer::RETRY).await;
    let token = new.sign(&claims());
    let together: Vec<_> = (0..50).map(|_| setup.verifier.verify(&token)).collect();
    assert!(futures_util::future::join_all(together).await.iter().all(Result::is_ok));
    assert_eq!(setup.fetches(), 2);

    for _ in 0..100 {
        assert_eq!(setup.kind(&stranger.sign(&claims())).await, "token_signature");
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    assert!(setup.fetches() <= 6, "{}", setup.fetches());
}

#[tokio::test(start_paused = true)]
async fn while_the_issuer_is_down_the_last_keys_stay_in_force_and_without_any_the_answer_is_503() {
    let signer = Signer::new("a");
    let setup = TestIssuer::new(Err("down".to_owned()));
    let token = signer.sign(&claims());
    let refusal = setup.verifier.verify(&token).await.unwrap_err();
    assert_eq!((refusal.kind(), refusal.status().as_u16()), ("issuer_unavailable", 503));
    assert!(refusal.retry_after().is_some());
    setup.publish(set(&[&signer]));
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert!(setup.verifier.verify(&token).await.is_ok());
    for broken in [Err("down".to_owned()), Ok(json!([])), Ok(json!({"keys": []})), Ok(json!({"keys": [{"kty": "EC"}]}))]
    {
        setup.publish(broken);
        tokio::time::sleep(Duration::from_secs(3600)).await;
        assert!(setup.verifier.verify(&token).await.is_ok());
    }
    assert!(setup.verifier.failures() > 3);
}

#[tokio::test(start_paused = true)]
async fn a_verified_token_is_remembered_until_the_keys_change() {
    let (signer, other) = (Signer::new("a"), Signer::new("b"));
    let setup = TestIssuer::new(set(&[&signer]));
    let token = signer.sign(&claims());
    assert!(setup.verifier.recall(&token).is_none());
    setup.verifier.verify(&token).await.unwrap();
    assert_eq!(setup.verifier.recall(&token).unwrap().name(), "alice");
    // Past its `exp` a token still counts for the leeway, but is verified each time.
    let late = signer.sign(&with("exp", json!(get_current_timestamp() - 5)));
    setup.verifier.verify(&late).await.unwrap();
    assert!(setup.verifier.recall(&late).is_none());
    setup.publish(set(&[&other]));
    tokio::time::sleep(Duration::from_secs(700)).await;
    assert!(setup.verifier.recall(&token).is_none());
    assert_eq!(setup.kind(&token).await, "token_signature");
}

#[test]
fn a_claim_may_be_nested() {
    let claims = json!({"realm_access": {"roles": ["read"]}, "a.b": "disconnect"});
    let claims = claims.as_object().unwrap();
    assert!(permissions(claim(claims, "realm_access.roles")).contains(Permission::Read));
    assert!(permissions(claim(claims, "a.b")).contains(Permission::Disconnect));
    assert_eq!(claim(claims, "a.c"), None);
}

#[test]
fn half_a_configuration_is_an_error_that_names_the_key() {
    assert!(Verifier::open(&Config::defaults().auth.jwt).unwrap().is_none());
    type Spoil = fn(&mut config::Jwt);
    let cases: [(Spoil, &str); 5] = [
        (|jwt| jwt.issuer = None, "auth.jwt.issuer is missing"),
        (|jwt| jwt.audience = None, "auth.jwt.audience is missing"),
        (|jwt| jwt.algorithms.0.clear(), "auth.jwt.algorithms is empty"),
        (|jwt| jwt.issuer = Some("http://login.example.com".to_owned()), "auth.jwt.issuer"),
        (|jwt| jwt.jwks_url = Some("http://login.example.com/keys".into()), "auth.jwt.jwks_url"),
    ];
    for (spoil, expected) in cases {
        let mut jwt = settings();
        spoil(&mut jwt);
        let error = Verifier::open(&jwt).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}
