//! Checks that involve several settings, and what `serve` needs. Checks of one setting are named at its declaration.

use std::path::{Path, PathBuf};
use std::time::Duration;

use secrecy::ExposeSecret as _;

use super::region;
use super::setting::{Setting as _, Wrong};
use super::value::trimmed;
use super::{Config, ConfigError, Genesys, Store, StoreKind, Tls};

impl Config {
    /// Checks all settings.
    ///
    /// # Errors
    /// The first value that cannot be used.
    pub(super) fn find_wrong(&self) -> Result<(), Wrong> {
        self.check("")?;
        self.server.tls.find_pair()?;
        let genesys = &self.genesys;
        pair(("genesys.client_cert", &genesys.client_cert), ("genesys.client_key", &genesys.client_key))?;
        if genesys.region.is_some() || genesys.api_url.is_some() || genesys.login_url.is_some() {
            let key = if genesys.region.is_some() { "genesys.region" } else { "genesys.api_url" };
            genesys.urls().map_err(|text| Wrong::new(key, text))?;
        }
        refuse_postgres_keys_elsewhere(&self.store)?;
        if self.audit.required && !self.audit.target.0.iter().any(|target| target == "store") {
            let text = "audit.required: records are committed to the store, so audit.target must name \"store\"";
            return Err(Wrong::new("audit.required", text));
        }
        let (token, retry, pace) = (&self.token, &self.retry, &self.pace);
        ordered("token.backoff_min", token.backoff_min, "token.backoff_max", token.backoff_max)?;
        ordered("retry.backoff_min", retry.backoff_min, "retry.backoff_max", retry.backoff_max)?;
        ordered("pace.reopen_margin", pace.reopen_margin, "pace.max_pause", pace.max_pause)
    }

    /// Checks what `serve` needs beyond valid values: an upstream, its credentials, and, beyond loopback, a way to tell
    /// callers apart.
    ///
    /// # Errors
    /// What is missing first, with its key and the remedy.
    pub fn check_serve(&self) -> Result<(), ConfigError> {
        let missing = |text: &str| Err(ConfigError(text.to_owned()));
        self.genesys.urls().map_err(ConfigError)?;
        if self.genesys.client_id.as_deref().is_none_or(|id| trimmed(id).is_empty()) {
            return missing(
                "genesys.client_id is not set; give the id of an OAuth client of the kind \"Client Credentials\" \
                 (HANGUP__GENESYS__CLIENT_ID)",
            );
        }
        let secret = self.genesys.client_secret.as_ref().map(|secret| trimmed(secret.expose_secret()));
        if secret.is_none_or(str::is_empty) && self.genesys.client_secret_file.is_none() {
            return missing(
                "genesys.client_secret is not set; give it (HANGUP__GENESYS__CLIENT_SECRET), or better a file that \
                 holds it (HANGUP__GENESYS__CLIENT_SECRET_FILE)",
            );
        }
        let open = self.auth.keys_file.is_none() && self.auth.jwt.issuer.is_none() && !self.auth.anonymous;
        if open && !self.server.bind.ip().to_canonical().is_loopback() {
            return Err(ConfigError(format!(
                "server.bind = \"{}\": reachable beyond loopback without keys, anybody could disconnect your calls; set \
                 auth.keys_file (make keys with `hangup key new NAME`), or auth.anonymous = true where something in front \
                 authenticates",
                self.server.bind
            )));
        }
        Ok(())
    }
}

impl Tls {
    /// The files of the certificate and of its key; `None` without TLS.
    ///
    /// # Errors
    /// Only one of them is set, or only the CA of callers' certificates.
    pub fn pair(&self) -> Result<Option<(&Path, &Path)>, ConfigError> {
        self.find_pair().map_err(|wrong| ConfigError(wrong.text))
    }

    fn find_pair(&self) -> Result<Option<(&Path, &Path)>, Wrong> {
        let found = pair(("server.tls.cert", &self.cert), ("server.tls.key", &self.key))?;
        if found.is_none() && self.client_ca.is_some() {
            let text = "server.tls.client_ca: needs server.tls.cert and server.tls.key";
            return Err(Wrong::new("server.tls.client_ca", text));
        }
        Ok(found)
    }
}

impl Genesys {
    /// The API's and the login's base URL, from the region or as given.
    ///
    /// # Errors
    /// Neither a region nor both URLs are set, or a region and a URL.
    pub fn urls(&self) -> Result<(String, String), String> {
        match (&self.region, &self.api_url, &self.login_url) {
            (Some(region), None, None) => {
                let domain = region::domain(region).ok_or_else(|| format!("genesys.region = \"{region}\": unknown"))?;
                Ok((format!("https://api.{domain}"), format!("https://login.{domain}")))
            }
            (None, Some(api), Some(login)) => Ok((api.clone(), login.clone())),
            (None, None, None) => {
                Err("genesys.region is not set; name the AWS region of your org, such as \"eu-west-1\" \
                (HANGUP__GENESYS__REGION), or set genesys.api_url and genesys.login_url"
                    .to_owned())
            }
            (Some(_), _, _) => {
                Err("genesys.region and genesys.api_url/login_url exclude each other; keep one of them".to_owned())
            }
            (None, _, _) => {
                Err("genesys.api_url and genesys.login_url belong together; give both, or genesys.region".to_owned())
            }
        }
    }
}

/// A certificate's file and its key's, each with its name in the configuration; `None` if neither is set.
fn pair<'a>(
    cert: (&str, &'a Option<PathBuf>),
    key: (&str, &'a Option<PathBuf>),
) -> Result<Option<(&'a Path, &'a Path)>, Wrong> {
    let alone = match (cert.1, key.1) {
        (Some(cert), Some(key)) => return Ok(Some((cert, key))),
        (None, None) => return Ok(None),
        (Some(_), None) => cert.0,
        (None, Some(_)) => key.0,
    };
    Err(Wrong::new(alone, format!("{} and {} belong together; give both or none", cert.0, key.0)))
}

fn refuse_postgres_keys_elsewhere(store: &Store) -> Result<(), Wrong> {
    let given = [("store.password_file", &store.password_file), ("store.ca_file", &store.ca_file)];
    match given.iter().find(|(_, set)| set.is_some() && store.kind() != StoreKind::Postgres) {
        Some((key, _)) => {
            let text = format!("{key}: is for PostgreSQL only, and store.url = \"{}\"; remove one of them", store.url);
            Err(Wrong::new(key, text))
        }
        None => Ok(()),
    }
}

fn ordered(low: &str, least: Duration, high: &str, most: Duration) -> Result<(), Wrong> {
    if least <= most {
        return Ok(());
    }
    Err(Wrong::new(low, format!("{low} = {}: must not be longer than {high} = {}", least.shown(), most.shown())))
}
