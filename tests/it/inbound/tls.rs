//! TLS, mutual TLS, and files that change.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use hangup::config::{Config, Tls};
use hangup::crypto_provider;
use hangup::server::TlsSource;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_util::sync::CancellationToken;

use crate::inbound::harness::Server;
use crate::shared::certificates::{Authority, Pair};
use crate::shared::wire::Wire;
use crate::support::{TestApp, until};

struct Files {
    dir: TempDir,
    tls: Tls,
}

impl Files {
    fn new(pair: &Pair, client_ca: Option<&Authority>) -> Self {
        let dir = TempDir::new().unwrap();
        let mut tls = Config::defaults().server.tls;
        tls.cert = Some(dir.path().join("tls.crt"));
        tls.key = Some(dir.path().join("tls.key"));
        if let Some(ca) = client_ca {
            let path = dir.path().join("ca.crt");
            std::fs::write(&path, &ca.pem).unwrap();
            tls.client_ca = Some(path);
        }
        let files = Self { dir, tls };
        files.write(&pair.cert, &pair.key);
        files
    }

    fn write(&self, cert: &str, key: &str) {
        std::fs::write(self.dir.path().join("tls.crt"), cert).unwrap();
        std::fs::write(self.dir.path().join("tls.key"), key).unwrap();
    }

    fn source(&self) -> TlsSource {
        TlsSource::open(&self.tls).unwrap().unwrap()
    }
}

async fn connect(server: &Server, ca: &Authority, own: Option<&Pair>) -> std::io::Result<Wire<TlsStream<TcpStream>>> {
    crypto_provider::install();
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(ca.pem.as_bytes()).unwrap()).unwrap();
    let builder = ClientConfig::builder().with_root_certificates(roots);
    let mut config = match own {
        None => builder.with_no_client_auth(),
        Some(pair) => {
            let chain = vec![CertificateDer::from_pem_slice(pair.cert.as_bytes()).unwrap()];
            builder.with_client_auth_cert(chain, PrivateKeyDer::from_pem_slice(pair.key.as_bytes()).unwrap()).unwrap()
        }
    };
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let stream = TcpStream::connect(server.addr).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    TlsConnector::from(Arc::new(config)).connect(name, stream).await.map(Wire::over)
}

/// The certificate that the server shows.
async fn shown(server: &Server, ca: &Authority) -> Vec<u8> {
    let caller = connect(server, ca, None).await.unwrap();
    caller.stream.get_ref().1.peer_certificates().unwrap()[0].to_vec()
}

fn der(pair: &Pair) -> Vec<u8> {
    CertificateDer::from_pem_slice(pair.cert.as_bytes()).unwrap().to_vec()
}

#[tokio::test]
async fn requests_are_answered_over_tls_as_http_1_1() {
    let ca = Authority::new("ca");
    let files = Files::new(&ca.issue("server"), None);
    let server = Server::start(|settings| settings.tls = Some(files.source()));
    let mut caller = connect(&server, &ca, None).await.unwrap();
    assert_eq!(caller.stream.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]));
    let answer = caller.get("/peer").await.unwrap();
    assert!(answer.body.ends_with(" true"), "{answer:?}");
    let answer = caller.get("/").await.unwrap();
    assert_eq!(answer.body, "hello");
}

#[tokio::test]
async fn a_caller_that_half_closes_its_tls_gets_its_answer() {
    let ca = Authority::new("ca");
    let files = Files::new(&ca.issue("server"), None);
    let server = Server::start(|settings| settings.tls = Some(files.source()));
    for goodbye in [true, false] {
        let mut caller = connect(&server, &ca, None).await.unwrap();
        caller.send("GET /gate HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        if goodbye {
            tokio::io::AsyncWriteExt::shutdown(&mut caller.stream).await.unwrap();
        } else {
            tokio::io::AsyncWriteExt::shutdown(caller.stream.get_mut().0).await.unwrap();
        }
        assert!(caller.is_quiet().await);
        server.gate.add_permits(1);
        assert_eq!(caller.answer().await.unwrap().body, "through");
    }
}

#[tokio::test]
async fn with_a_client_ca_only_its_certificates_are_let_in() {
    let (ca, stranger) = (Authority::new("ca"), Authority::new("ca"));
    let files = Files::new(&ca.issue("server"), Some(&ca));
    let server = Server::start(|settings| settings.tls = Some(files.source()));
    let mut caller = connect(&server, &ca, Some(&ca.issue("ivr-south"))).await.unwrap();
    let answer = caller.get("/peer").await.unwrap();
    assert!(answer.body.ends_with(" true"), "{answer:?}");

    for own in [None, Some(stranger.issue("ivr-south"))] {
        // In TLS 1.3 the refusal arrives after the client's side of the handshake.
        if let Ok(mut caller) = connect(&server, &ca, own.as_ref()).await {
            assert_eq!(caller.closed().await, b"");
        }
    }
    until(async || server.stats.tls_failures() == 2).await;
}

#[tokio::test]
async fn a_changed_pair_is_taken_over_and_a_mismatching_one_is_not() {
    let ca = Authority::new("ca");
    let (first, second, third) = (ca.issue("first"), ca.issue("second"), ca.issue("third"));
    let files = Files::new(&first, None);
    let source = files.source();
    let server = Server::start(|settings| settings.tls = Some(source.clone()));
    let stop = CancellationToken::new();
    let watching = tokio::spawn({
        let (source, stop) = (source.clone(), stop.clone());
        async move { source.watch(stop).await }
    });
    let mut old = connect(&server, &ca, None).await.unwrap();
    old.get("/").await.unwrap();
    assert_eq!(shown(&server, &ca).await, der(&first));

    files.write(&second.cert, &first.key);
    until(async || source.reload_failures() == 1).await;
    assert_eq!(shown(&server, &ca).await, der(&first));

    files.write(&second.cert, &second.key);
    until(async || source.reloads() == 1).await;
    assert_eq!(shown(&server, &ca).await, der(&second));
    // Connections that are open stay.
    assert_eq!(old.get("/").await.unwrap().body, "hello");

    files.write(&third.cert, &third.key[..third.key.len() / 2]);
    let error = source.reload().await.unwrap_err().to_string();
    assert!(error.contains("server.tls.key") && error.contains("no usable private key"), "{error}");
    assert_eq!(shown(&server, &ca).await, der(&second));
    stop.cancel();
    watching.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn changed_files_are_counted_by_whether_they_can_be_used() {
    let ca = Authority::new("ca");
    let (first, second) = (ca.issue("first"), ca.issue("second"));
    let files = Files::new(&first, None);
    let service = TestApp::auto().config(|config| config.server.tls = files.tls.clone()).start().await;
    let counted = async || {
        (service.metric("hangup_tls_reloads_total").await, service.metric("hangup_tls_reload_failures_total").await)
    };
    assert_eq!(counted().await, (0.0, 0.0));
    files.write(&second.cert, &first.key);
    until(async || counted().await == (0.0, 1.0)).await;
    files.write(&second.cert, &second.key);
    until(async || counted().await == (1.0, 1.0)).await;
}

#[tokio::test]
async fn a_handshake_that_does_not_go_on_is_cut_and_does_not_hold_the_stop() {
    let ca = Authority::new("ca");
    let files = Files::new(&ca.issue("server"), None);
    let server = Server::start(|settings| settings.tls = Some(files.source()));
    let mut caller = server.connect().await;
    caller.send("\u{16}\u{3}\u{1}").await.unwrap();
    assert_eq!(caller.closed().await, b"");
    assert_eq!(server.stats.tls_failures(), 1);

    let server = Server::start(|settings| {
        settings.tls = Some(files.source());
        settings.header_timeout = Duration::from_secs(60);
    });
    let mut caller = server.connect().await;
    caller.send("\u{16}").await.unwrap();
    server.open(1).await;
    server.stop.cancel();
    assert_eq!(caller.closed().await, b"");
    server.ended().await;
}

#[tokio::test]
async fn plain_http_on_the_tls_port_is_refused_with_the_reason() {
    let ca = Authority::new("ca");
    let files = Files::new(&ca.issue("server"), None);
    let server = Server::start(|settings| settings.tls = Some(files.source()));
    let mut caller = server.connect().await;
    let answer = caller.get("/").await.unwrap();
    assert_eq!(answer.status, 400);
    assert!(answer.body.contains("use https"), "{answer:?}");
    assert_eq!(caller.closed().await, b"");
}

#[test]
fn files_that_cannot_be_used_are_named_with_the_remedy() {
    let (ca, other) = (Authority::new("ca"), Authority::new("ca"));
    let (pair, stranger) = (ca.issue("server"), other.issue("server"));
    let files = Files::new(&pair, Some(&ca));
    let check = |expected: &[&str]| {
        let error = TlsSource::open(&files.tls).unwrap_err().to_string();
        assert!(expected.iter().all(|part| error.contains(part)), "{error}");
    };
    let path = |name: &str| files.dir.path().join(name).display().to_string();
    files.write(&pair.cert, &stranger.key);
    check(&["server.tls.key", &path("tls.key"), &path("tls.crt"), "one pair"]);
    files.write("", &pair.key);
    check(&["server.tls.cert", &path("tls.crt"), "holds no certificate"]);
    files.write(&pair.cert[..100], &pair.key);
    check(&["server.tls.cert", &path("tls.crt")]);
    files.write(&pair.cert, "nonsense");
    check(&["server.tls.key", &path("tls.key"), "no usable private key"]);
    files.write(&pair.cert, &pair.key);
    assert!(TlsSource::open(&files.tls).is_ok());
    std::fs::write(files.dir.path().join("ca.crt"), "nonsense").unwrap();
    check(&["server.tls.client_ca", &path("ca.crt"), "CA's certificates"]);
    std::fs::remove_file(files.dir.path().join("tls.key")).unwrap();
    check(&["server.tls.key", &path("tls.key"), "cannot be read"]);

    let mut half = Config::defaults().server.tls;
    assert!(TlsSource::open(&half).unwrap().is_none());
    half.cert = Some(Path::new("/x").to_owned());
    assert!(TlsSource::open(&half).unwrap_err().to_string().contains("belong together"));
}
