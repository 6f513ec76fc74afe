//! What is said about files that cannot be used, and about servers whose certificate is refused.

use std::io::Write as _;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::server::WebPkiClientVerifier;
use tempfile::NamedTempFile;

use super::*;
use crate::config::Config;
use crate::genesys::exchange::Wire;

fn file(text: &str) -> NamedTempFile {
    crate::crypto_provider::install();
    let mut file = NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file
}

/// A certificate that is signed by its own key.
fn self_signed(is_ca: IsCa) -> (rcgen::Certificate, KeyPair) {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    params.is_ca = is_ca;
    (params.self_signed(&key).unwrap(), key)
}

fn with_ca(ca: &str) -> Result<ClientConfig, String> {
    let ca = file(ca);
    let mut settings = Config::defaults().genesys;
    settings.ca_file = Some(ca.path().to_owned());
    super::config(&settings)
}

#[test]
fn a_ca_file_that_cannot_be_used_says_which_certificate_and_why() {
    let good = self_signed(IsCa::Ca(BasicConstraints::Unconstrained)).0.pem();
    assert!(with_ca(&good).is_ok());
    assert!(with_ca(&format!("\u{feff}some words\n{good}\n\n")).is_ok());
    let bad = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let error = with_ca(&format!("{good}{bad}")).unwrap_err();
    assert!(error.contains("certificate 2 cannot be used"), "{error}");
    let trusted = good.replace("BEGIN CERTIFICATE", "BEGIN TRUSTED CERTIFICATE");
    assert!(with_ca(&trusted).unwrap_err().contains("openssl x509"));
    assert!(with_ca("").unwrap_err().contains("holds no PEM certificate"));
}

#[test]
fn a_client_certificate_needs_its_own_key() {
    let ((certificate, key), (_, other)) = (self_signed(IsCa::NoCa), self_signed(IsCa::NoCa));
    let with = |cert: &str, key: &str| {
        let (cert, key) = (file(cert), file(key));
        let mut settings = Config::defaults().genesys;
        settings.ca_file = Some(cert.path().to_owned());
        settings.client_cert = Some(cert.path().to_owned());
        settings.client_key = Some(key.path().to_owned());
        super::config(&settings)
    };
    let certificate = certificate.pem();
    assert!(with(&certificate, &key.serialize_pem()).is_ok());
    assert!(with(&certificate, "").unwrap_err().starts_with("genesys.client_key = "));
    let error = with(&certificate, &other.serialize_pem()).unwrap_err();
    assert!(error.contains("the key that belongs to genesys.client_cert"), "{error}");
}

/// What a request to a server with this certificate ends with, when it is trusted by itself. It never gets an answer, only a
/// closed connection; with `identified`, that is after it has shown the same certificate as its own.
async fn connect(is_ca: IsCa, asks: bool, identified: bool) -> String {
    crate::crypto_provider::install();
    let (certificate, key) = self_signed(is_ca);
    let trusted = file(&certificate.pem());
    let server = if asks {
        let roots = Arc::new(roots(trusted.path()).unwrap());
        ServerConfig::builder().with_client_cert_verifier(WebPkiClientVerifier::builder(roots).build().unwrap())
    } else {
        ServerConfig::builder().with_no_client_auth()
    };
    let private = PrivatePkcs8KeyDer::from(key.serialize_der()).into();
    let server = Arc::new(server.with_single_cert(vec![certificate.der().clone()], private).unwrap());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://localhost:{}/", listener.local_addr().unwrap().port());
    let serving = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        tokio_rustls::TlsAcceptor::from(server).accept(stream).await.map(|_| ()).map_err(|e| e.to_string())
    });
    let mut settings = Config::defaults().genesys;
    settings.ca_file = Some(trusted.path().to_owned());
    let private = file(&key.serialize_pem());
    if identified {
        settings.client_cert = Some(trusted.path().to_owned());
        settings.client_key = Some(private.path().to_owned());
    }
    let mut wire = Wire::new(&settings, std::time::Duration::from_secs(5)).unwrap();
    let request = http::Request::get(url).body(bytes::Bytes::new()).unwrap();
    let error = tower::Service::call(&mut wire, request).await.unwrap_err().to_string();
    match serving.await.unwrap() {
        Ok(()) => "welcome".to_owned(),
        Err(_) if !asks => error,
        Err(refusal) => refusal,
    }
}

#[tokio::test]
async fn a_self_signed_server_certificate_is_trusted_unless_it_is_a_ca_and_then_it_says_what_is_wanted() {
    assert_eq!(connect(IsCa::NoCa, false, false).await, "welcome");
    let refused = connect(IsCa::Ca(BasicConstraints::Unconstrained), false, false).await;
    assert!(refused.contains("wants a server certificate that is not a CA"), "{refused}");
}

#[tokio::test]
async fn a_gateway_that_asks_for_a_certificate_gets_ours() {
    assert_eq!(connect(IsCa::NoCa, true, true).await, "welcome");
    let refused = connect(IsCa::NoCa, true, false).await;
    assert!(refused.contains("peer sent no certificates"), "{refused}");
}
