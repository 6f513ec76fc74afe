//! Connections to PostgreSQL: TLS by rustls, and a password that may come from a file.

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;

use deadpool_postgres::Connect;
use futures_util::future::{BoxFuture, FutureExt as _};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::ConfigVerifierExt as _;
use secrecy::ExposeSecret as _;
use tokio::task::JoinHandle;
use tokio_postgres::config::{Host, SslMode};
use tokio_postgres::{Client, Config, Error};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::config;
use crate::files::{read_regular, read_secret};

/// Opens connections for the pool.
pub(super) struct PostgresConnector {
    pub(super) tls: MakeRustlsConnect,
    password_file: Option<PathBuf>,
}

/// What to connect to, and how.
///
/// # Errors
/// A setting that cannot be used. The text names key and remedy.
pub(super) fn connector(settings: &config::Store) -> Result<(Config, PostgresConnector), String> {
    let key = format!("store.url = \"{}\"", settings.url);
    // The client library does not know these modes. We verify certificates in every mode, so they mean the same as "require".
    let url = settings.url.expose().replace("sslmode=verify-full", "sslmode=require");
    let url = url.replace("sslmode=verify-ca", "sslmode=require");
    let mut url: Config = url.parse().map_err(|e: Error| {
        format!("{key}: cannot be used ({e}); write it as \"postgres://USER@HOST:5432/DATABASE?sslmode=require\"")
    })?;
    if url.get_hosts().is_empty() && url.get_hostaddrs().is_empty() {
        return Err(format!("{key}: names no host; write it as \"postgres://USER@HOST:5432/DATABASE\""));
    }
    if url.get_user().is_none() {
        return Err(format!("{key}: names no user; write it as \"postgres://USER@HOST:5432/DATABASE\""));
    }
    if url.get_ssl_mode() == SslMode::Prefer {
        if settings.ca_file.is_some() {
            // A setting that names a CA means TLS.
            url.ssl_mode(SslMode::Require);
        } else if !is_local(&url) {
            // Only a warning: refusing it would take the store, and the mode that is kept there, from fleets that run this way.
            tracing::warn!(
                event = "store_may_be_unencrypted",
                "store.url allows a connection without TLS if the server, or something in between, says that it has none: add sslmode=require"
            );
        }
    }
    if let Some(path) = &settings.password_file {
        let unreadable = |e: String| {
            format!(
                "store.password_file = \"{}\": cannot be read ({e}); check the path and its permissions",
                path.display()
            )
        };
        read_secret(path).map_err(unreadable)?;
    }
    url.connect_timeout(settings.timeout).application_name("hangup");
    let connector = PostgresConnector {
        tls: MakeRustlsConnect::new(tls(settings)?),
        password_file: settings.password_file.clone(),
    };
    Ok((url, connector))
}

/// Whether no connection leaves this machine.
fn is_local(url: &Config) -> bool {
    let named = |host: &Host| match host {
        Host::Unix(_) => true,
        Host::Tcp(name) => name == "localhost" || name.parse().is_ok_and(|addr: IpAddr| addr.is_loopback()),
    };
    // `hostaddr` takes precedence over `host`, which then only names the certificate to expect.
    match url.get_hostaddrs() {
        [] => url.get_hosts().iter().all(named),
        addresses => addresses.iter().all(IpAddr::is_loopback),
    }
}

/// TLS that trusts the certificates in `store.ca_file`, else the system's.
fn tls(settings: &config::Store) -> Result<ClientConfig, String> {
    crate::crypto_provider::install();
    let Some(path) = &settings.ca_file else {
        return ClientConfig::with_platform_verifier().map_err(|e| format!("no TLS roots: {e}"));
    };
    let unusable = |what: String| {
        format!("store.ca_file = \"{}\": {what}; give a PEM file with the CA's certificate", path.display())
    };
    let mut roots = RootCertStore::empty();
    let text = read_regular(path).map_err(|e| unusable(format!("cannot be read ({e})")))?;
    for certificate in CertificateDer::pem_slice_iter(&text) {
        let certificate = certificate.map_err(|e| unusable(format!("is not PEM ({e})")))?;
        roots.add(certificate).map_err(|e| unusable(format!("holds a certificate that cannot be used ({e})")))?;
    }
    if roots.is_empty() {
        return Err(unusable("holds no certificate".to_owned()));
    }
    Ok(ClientConfig::builder().with_root_certificates(Arc::new(roots)).with_no_client_auth())
}

impl Connect for PostgresConnector {
    fn connect(&self, to: &Config) -> BoxFuture<'_, Result<(Client, JoinHandle<()>), Error>> {
        let mut to = to.clone();
        async move {
            if let Some(path) = &self.password_file {
                // Read each time, so that the next connection uses a rotated password.
                let path_read = path.clone();
                let read = tokio::task::spawn_blocking(move || read_secret(&path_read)).await;
                match read.unwrap_or_else(|e| Err(e.to_string())) {
                    Ok(password) => {
                        to.password(password.expose_secret());
                    }
                    // Connect all the same: the server's answer, that a password is missing, becomes the store's error.
                    Err(cause) => tracing::debug!(path = %path.display(), cause, "store.password_file cannot be read"),
                }
            }
            let (client, connection) = to.connect(self.tls.clone()).await?;
            let task = tokio::spawn(async move {
                // Its error is returned by the next use of the client.
                let _ = connection.await;
            });
            Ok((client, task))
        }
        .boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::captured_log::CapturedLog;

    fn mode(url: &str) -> SslMode {
        let mut settings = crate::config::Config::defaults().store;
        settings.url = url.into();
        connector(&settings).map(|(url, _)| url.get_ssl_mode()).unwrap()
    }

    #[test]
    fn only_addresses_of_this_machine_count_as_local() {
        let local = |url: &str| is_local(&url.parse::<Config>().unwrap());
        for elsewhere in ["db.example", "10.0.0.5", "[2001:db8::1]", "localhost,db.example", "localhost.evil.example"] {
            assert!(!local(&format!("postgres://app@{elsewhere}/hangup")), "{elsewhere}");
        }
        assert!(!local("postgres://app@localhost/hangup?hostaddr=10.0.0.5"));
        for here in ["localhost", "127.0.0.1:5433", "[::1]", "%2Frun%2Fpostgresql"] {
            assert!(local(&format!("postgres://app@{here}/hangup")), "{here}");
        }
    }

    #[test]
    fn tls_is_required_where_the_url_or_a_ca_file_asks_for_it() {
        assert_eq!(mode("postgres://app@db/hangup"), SslMode::Prefer);
        assert_eq!(mode("postgres://app@db/hangup?sslmode=disable"), SslMode::Disable);
        assert_eq!(mode("postgres://app@db/hangup?sslmode=prefer"), SslMode::Prefer);
        assert_eq!(mode("postgres://app@db/hangup?sslmode=verify-full"), SslMode::Require);
    }

    #[test]
    fn a_database_elsewhere_that_may_be_reached_without_tls_is_logged_as_a_warning() {
        let folder = tempfile::tempdir().unwrap();
        let ca = folder.path().join("ca.pem");
        let made = rcgen::generate_simple_self_signed(["ca".to_owned()]).unwrap();
        std::fs::write(&ca, made.cert.pem()).unwrap();
        for (url, ca_file, warned) in [
            ("postgres://app@db.example.com/hangup", false, true),
            ("postgres://app@db.example.com/hangup?sslmode=prefer", false, true),
            ("postgres://app@localhost,db.example.com/hangup", false, true),
            ("postgres://app@localhost/hangup?hostaddr=192.0.2.1", false, true),
            ("postgres://app@db.example.com/hangup", true, false),
            ("postgres://app@db.example.com/hangup?sslmode=require", false, false),
            ("postgres://app@db.example.com/hangup?sslmode=verify-full", false, false),
            ("postgres://app@db.example.com/hangup?sslmode=disable", false, false),
            ("postgres://app@127.0.0.1/hangup", false, false),
            ("postgres://app@localhost/hangup", false, false),
            ("postgres://app@%2Frun%2Fpostgresql/hangup", false, false),
        ] {
            let (log, _guard) = CapturedLog::here();
            let mut settings = config::Config::defaults().store;
            (settings.url, settings.ca_file) = (url.into(), ca_file.then(|| ca.clone()));
            assert!(connector(&settings).is_ok(), "{url}");
            assert_eq!(log.count("store_may_be_unencrypted"), usize::from(warned), "{url}, ca_file {ca_file}");
        }
    }
}
