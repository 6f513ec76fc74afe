//! TLS towards the upstream: the certificates that we trust, and the one that we present.

use std::fmt::Display;
use std::path::Path;

use rustls::client::WantsClientCert;
use rustls::pki_types::pem::{self, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, ConfigBuilder, RootCertStore};
use rustls_platform_verifier::BuilderVerifierExt as _;

use crate::config;
use crate::files::read_regular;

/// Trusts the certificates of `genesys.ca_file`, else the system's, and presents `genesys.client_cert` where it is set.
///
/// # Errors
/// A file that cannot be used, or no TLS roots.
pub(super) fn config(settings: &config::Genesys) -> Result<ClientConfig, String> {
    let trusting = match &settings.ca_file {
        None => ClientConfig::builder().with_platform_verifier().map_err(|e| format!("no TLS roots: {e}"))?,
        Some(path) => ClientConfig::builder().with_root_certificates(roots(path)?),
    };
    match (&settings.client_cert, &settings.client_key) {
        (Some(cert), Some(key)) => identified(trusting, cert, key),
        _ => Ok(trusting.with_no_client_auth()),
    }
}

fn wrong(key: &str, path: &Path, what: impl Display, remedy: &str) -> String {
    format!("genesys.{key} = \"{}\": {what}; {remedy}", path.display())
}

/// The certificates of `genesys.ca_file`. Each must be one that rustls can trust.
fn roots(path: &Path) -> Result<RootCertStore, String> {
    let wrong = |what: String, remedy: &str| wrong("ca_file", path, what, remedy);
    let text = read("ca_file", path)?;
    if contains(&text, b"-----BEGIN TRUSTED CERTIFICATE-----") {
        return Err(wrong(
            "holds a TRUSTED CERTIFICATE, a form of OpenSSL's own that rustls does not read".to_owned(),
            "convert it with `openssl x509 -in FILE -out FILE.pem`",
        ));
    }
    let mut roots = RootCertStore::empty();
    for (index, certificate) in CertificateDer::pem_slice_iter(&text).enumerate() {
        let added = certificate.map_err(|e| e.to_string()).and_then(|c| roots.add(c).map_err(|e| e.to_string()));
        added.map_err(|cause| {
            wrong(format!("certificate {} cannot be used ({cause})", index + 1), "replace that one, or remove it")
        })?;
    }
    if roots.is_empty() {
        return Err(wrong(
            "holds no PEM certificate".to_owned(),
            "give the CA's, which begins with -----BEGIN CERTIFICATE-----",
        ));
    }
    Ok(roots)
}

/// Presents a certificate to gateways that ask for one.
fn identified(
    trusting: ConfigBuilder<ClientConfig, WantsClientCert>,
    cert: &Path,
    key: &Path,
) -> Result<ClientConfig, String> {
    let chain: Result<Vec<_>, pem::Error> = CertificateDer::pem_slice_iter(&read("client_cert", cert)?).collect();
    let chain = chain.map_err(|e| wrong("client_cert", cert, e, "give the certificate and its chain as PEM"))?;
    if chain.is_empty() {
        return Err(wrong(
            "client_cert",
            cert,
            "holds no PEM certificate",
            "give the certificate and its chain as PEM",
        ));
    }
    let private = PrivateKeyDer::from_pem_slice(&read("client_key", key)?)
        .map_err(|_| wrong("client_key", key, "holds no PEM private key", "give an unencrypted key as PEM"))?;
    trusting
        .with_client_auth_cert(chain, private)
        .map_err(|e| wrong("client_key", key, e, "give the key that belongs to genesys.client_cert"))
}

fn read(setting: &str, path: &Path) -> Result<Vec<u8>, String> {
    read_regular(path).map_err(|e| wrong(setting, path, format!("cannot be read ({e})"), "check the path"))
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}

/// What to do about a certificate that was refused, for causes whose own words do not say it.
pub(super) fn remedy(cause: &str) -> Option<&'static str> {
    if cause.contains("CaUsedAsEndEntity") {
        return Some(
            "the server presents a CA's certificate as its own; rustls wants a server certificate that is not a CA \
             (basicConstraints CA:FALSE), signed by one that genesys.ca_file holds",
        );
    }
    cause.contains("UnknownIssuer").then_some(
        "the server's certificate is not signed by a trusted CA: give its CA in genesys.ca_file; for a self-signed server \
         certificate, that certificate itself, made without CA:TRUE",
    )
}

#[cfg(test)]
mod tests;
