//! TLS and mutual TLS for our listener, from PEM files that are watched for changes.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio_util::sync::CancellationToken;

use crate::config::{self, ConfigError};
use crate::files::read;
use crate::watched_file::{Content, FileSource, WatchedFile};

const CERT: &str = "server.tls.cert";
const KEY: &str = "server.tls.key";
const CLIENT_CA: &str = "server.tls.client_ca";

/// The TLS configuration of new connections, reloaded when its files change. A half-written or mismatched pair is not
/// loaded.
#[derive(Debug, Clone)]
pub struct TlsSource(Arc<WatchedFile<PemFiles>>);

impl TlsSource {
    /// Reads and checks the files of `[server.tls]`; `None` when none are configured.
    ///
    /// # Errors
    /// Only one of certificate and key is set, or a file cannot be used; the text names setting, path and remedy.
    pub fn open(tls: &config::Tls) -> Result<Option<Self>, ConfigError> {
        let Some((cert, key)) = tls.pair()? else { return Ok(None) };
        let files = PemFiles { cert: cert.to_owned(), key: key.to_owned(), client_ca: tls.client_ca.clone() };
        WatchedFile::open(files).map(|files| Some(Self(Arc::new(files))))
    }

    /// Watches the files until `stop`. Run it once, in a task of its own.
    pub async fn watch(&self, stop: CancellationToken) {
        stop.run_until_cancelled(self.0.watch()).await;
    }

    /// Reads the files now, for SIGHUP.
    ///
    /// # Errors
    /// They cannot be used, which is also logged; the previous ones stay in force.
    pub async fn reload(&self) -> Result<(), ConfigError> {
        self.0.reload().await
    }

    /// How often changed files were loaded.
    #[must_use]
    pub fn reloads(&self) -> u64 {
        self.0.reloads()
    }

    /// How often changed files could not be used.
    #[must_use]
    pub fn reload_failures(&self) -> u64 {
        self.0.failures()
    }

    pub(super) fn current(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.0.get().0)
    }
}

#[derive(Debug)]
struct PemFiles {
    cert: PathBuf,
    key: PathBuf,
    client_ca: Option<PathBuf>,
}

/// A checked configuration of rustls.
#[derive(Debug)]
struct TlsServerConfig(Arc<ServerConfig>);

impl FileSource for PemFiles {
    type Value = TlsServerConfig;

    const NAME: &'static str = "the TLS files";

    fn read(&self) -> Content {
        let client_ca = self.client_ca.as_ref().map(|path| (CLIENT_CA, path));
        let files = [(CERT, &self.cert), (KEY, &self.key)].into_iter().chain(client_ca);
        files.map(|(key, path)| read(key, path)).collect()
    }

    fn make(&self, content: &[Vec<u8>], _previous: Option<&TlsServerConfig>) -> Result<TlsServerConfig, String> {
        let part = |at: usize| content.get(at).map(Vec::as_slice).unwrap_or_default();
        let provider = Arc::new(aws_lc_rs::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(|error| format!("server.tls: {error}"))?;
        let builder = match &self.client_ca {
            None => builder.with_no_client_auth(),
            Some(path) => {
                let wrong = |why: String| {
                    problem(CLIENT_CA, path, &format!("{why}; it must hold the CA's certificates in PEM"))
                };
                let mut roots = RootCertStore::empty();
                for certificate in certificates(part(2)).map_err(wrong)? {
                    roots.add(certificate).map_err(|error| wrong(error.to_string()))?;
                }
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
                builder.with_client_cert_verifier(verifier.map_err(|error| wrong(error.to_string()))?)
            }
        };
        let chain = certificates(part(0)).map_err(|why| {
            problem(
                CERT,
                &self.cert,
                &format!("{why}; it must hold the certificate chain in PEM, the server's own first"),
            )
        })?;
        let key = PrivateKeyDer::from_pem_slice(part(1)).map_err(|_| {
            problem(KEY, &self.key, "holds no usable private key; it must be in PEM and without a password")
        })?;
        let mut config = builder.with_single_cert(chain, key).map_err(|error| {
            let cert = self.cert.display();
            problem(KEY, &self.key, &format!("does not go with {CERT} {cert} ({error}); write both files of one pair"))
        })?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(TlsServerConfig(Arc::new(config)))
    }
}

fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        Ok(_) => Err("holds no certificate".to_owned()),
        Err(_) => Err("is not valid PEM".to_owned()),
    }
}

fn problem(key: &str, path: &Path, what: &str) -> String {
    format!("{key} {}: {what}", path.display())
}
