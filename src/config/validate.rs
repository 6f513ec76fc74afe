//! Checks between and within values that their types cannot express. Each message names key, value and remedy.

use std::time::Duration;

use super::{Config, ConfigError, Genesys};
use crate::genesys::region;

impl Config {
    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        self.check().map_err(ConfigError)
    }

    fn check(&self) -> Result<(), String> {
        let second = Duration::from_secs(1);
        positive("server.header_timeout", self.server.header_timeout)?;
        positive("server.body_timeout", self.server.body_timeout)?;
        at_least_one("server.max_connections", self.server.max_connections)?;
        if self.server.max_body.as_u64() == 0 || self.server.max_body.as_u64() > 1 << 20 {
            return Err(format!(
                "server.max_body = \"{}\": must be more than nothing and at most 1 MiB",
                self.server.max_body
            ));
        }
        let tls = &self.server.tls;
        if tls.cert.is_some() != tls.key.is_some() {
            return Err("server.tls: cert and key belong together; give both or none".to_owned());
        }
        if tls.client_ca.is_some() && tls.cert.is_none() {
            return Err("server.tls.client_ca: needs server.tls.cert and server.tls.key".to_owned());
        }
        for word in &self.auth.anonymous_permissions.0 {
            if !matches!(word.as_str(), "disconnect" | "read" | "teardown") {
                return Err(format!(
                    "auth.anonymous_permissions = \"{word}\": unknown permission; use disconnect, read, teardown"
                ));
            }
        }
        positive("genesys.idle_timeout", self.genesys.idle_timeout)?;
        self.genesys.check()?;

        positive("token.timeout", self.token.timeout)?;
        ordered("token.backoff_min", self.token.backoff_min, "token.backoff_max", self.token.backoff_max)?;
        within("token.renew_at", self.token.renew_at, 0.1, 0.95)?;
        positive("token.rejected_interval", self.token.rejected_interval)?;

        at_least_one("retry.max_attempts", self.retry.max_attempts as usize)?;
        ordered("retry.backoff_min", self.retry.backoff_min, "retry.backoff_max", self.retry.backoff_max)?;
        within("retry.budget_ratio", self.retry.budget_ratio, 0.0, 1.0)?;
        if self.retry.budget_floor > 1000 {
            return Err(format!("retry.budget_floor = {}: is no floor; use at most 1000", self.retry.budget_floor));
        }

        at_least_one("pace.initial_in_flight", self.pace.initial_in_flight)?;
        positive("pace.max_pause", self.pace.max_pause)?;
        longest("pace.reopen_margin", self.pace.reopen_margin, self.pace.max_pause)?;
        longest("pace.spread", self.pace.spread, second)?;

        positive("disconnect.deadline", self.disconnect.deadline)?;
        longest("disconnect.deadline", self.disconnect.deadline, Duration::from_secs(600))?;
        positive("disconnect.attempt_timeout", self.disconnect.attempt_timeout)?;
        longest("disconnect.confirm_wait", self.disconnect.confirm_wait, Duration::from_secs(60))?;
        if self.disconnect.default_reason.is_empty() || self.disconnect.default_reason.len() > 256 {
            return Err(
                "disconnect.default_reason: must be a text of 1 to 256 bytes, such as \"user_request\"".to_owned()
            );
        }
        at_least_one("limits.max_in_flight", self.limits.max_in_flight)?;
        longest("shutdown.grace", self.shutdown.grace, Duration::from_secs(600))?;
        longest("shutdown.drain", self.shutdown.drain, Duration::from_secs(600))?;

        if self.telemetry.log_level.parse::<tracing_subscriber::filter::Targets>().is_err() {
            return Err(format!(
                "telemetry.log_level = \"{}\": is no level; use error, warn, info, debug, trace, or \"info,hangup=debug\"",
                self.telemetry.log_level
            ));
        }
        for (key, text) in [("telemetry.log_target", &self.telemetry.log_target), ("audit.target", &self.audit.target)]
        {
            if text.is_empty() {
                return Err(format!("{key}: must not be empty; use \"stdout\" or a file path"));
            }
        }
        at_least_one("audit.keep", self.audit.keep)?;
        positive("sandbox.token_lifetime", self.sandbox.token_lifetime)?;
        positive("sandbox.rate_window", self.sandbox.rate_window)?;
        at_least_one("sandbox.rate_limit", self.sandbox.rate_limit as usize)
    }

    /// What `serve` needs beyond valid values: an upstream, credentials, and callers who may be trusted.
    ///
    /// # Errors
    /// The first thing missing, with its key and the remedy.
    pub fn check_serve(&self) -> Result<(), ConfigError> {
        let missing = |text: &str| Err(ConfigError(text.to_owned()));
        self.genesys.urls().map_err(ConfigError)?;
        if self.genesys.client_id.is_none() {
            return missing(
                "genesys.client_id is not set; give the id of an OAuth client of the kind \"Client Credentials\" \
                 (HANGUP__GENESYS__CLIENT_ID)",
            );
        }
        if self.genesys.client_secret.is_none() && self.genesys.client_secret_file.is_none() {
            return missing(
                "genesys.client_secret is not set; give it (HANGUP__GENESYS__CLIENT_SECRET), or better a file that \
                 holds it (HANGUP__GENESYS__CLIENT_SECRET_FILE)",
            );
        }
        let open = self.auth.keys_file.is_none() && self.auth.jwt.issuer.is_none() && !self.auth.anonymous;
        if open && !self.server.bind.ip().is_loopback() {
            return Err(ConfigError(format!(
                "server.bind = \"{}\": reachable beyond loopback without keys, anybody could hang up your calls; set \
                 auth.keys_file (make keys with `hangup key new NAME`), or auth.anonymous = true where something in front \
                 authenticates",
                self.server.bind
            )));
        }
        Ok(())
    }
}

impl Genesys {
    /// The API's and the login's base URL, from the region or as given.
    ///
    /// # Errors
    /// Neither a region nor both URLs, or both of them.
    pub fn urls(&self) -> Result<(String, String), String> {
        match (&self.region, &self.api_url, &self.login_url) {
            (Some(region), None, None) => {
                let domain = region::domain(region).ok_or_else(|| unknown_region(region))?;
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

    fn check(&self) -> Result<(), String> {
        if let Some(region) = &self.region
            && region::domain(region).is_none()
        {
            return Err(unknown_region(region));
        }
        if self.region.is_some() || self.api_url.is_some() || self.login_url.is_some() {
            self.urls()?;
        }
        for (key, url) in [("genesys.api_url", &self.api_url), ("genesys.login_url", &self.login_url)] {
            let Some(url) = url else { continue };
            let parsed = url.parse::<http::Uri>().ok();
            let scheme = parsed.as_ref().and_then(http::Uri::scheme_str);
            if parsed.as_ref().and_then(http::Uri::host).is_none_or(str::is_empty)
                || !matches!(scheme, Some("http" | "https"))
            {
                return Err(format!(
                    "{key} = \"{}\": is no URL with a host; write it as \"https://api.mypurecloud.com\"",
                    hide_userinfo(url)
                ));
            }
            if url.contains('@') || url.contains('?') || url.contains('#') {
                return Err(format!(
                    "{key}: must hold no credentials, query or fragment; only scheme, host, port and path"
                ));
            }
        }
        Ok(())
    }
}

/// A URL as it may be shown: nothing before an `@`.
fn hide_userinfo(url: &str) -> &str {
    url.rsplit('@').next().unwrap_or_default()
}

fn unknown_region(region: &str) -> String {
    let names: Vec<_> = region::names().collect();
    format!("genesys.region = \"{region}\": unknown; use the AWS name of your org's region: {}", names.join(", "))
}

fn positive(key: &str, value: Duration) -> Result<(), String> {
    if value.is_zero() { Err(format!("{key} = \"0s\": must be longer than nothing, such as \"1s\"")) } else { Ok(()) }
}

fn longest(key: &str, value: Duration, most: Duration) -> Result<(), String> {
    if value > most {
        let (value, most) = (humantime::format_duration(value), humantime::format_duration(most));
        return Err(format!("{key} = \"{value}\": must be at most \"{most}\""));
    }
    Ok(())
}

fn ordered(low: &str, least: Duration, high: &str, most: Duration) -> Result<(), String> {
    positive(low, least)?;
    if least > most {
        let (least, most) = (humantime::format_duration(least), humantime::format_duration(most));
        return Err(format!("{low} = \"{least}\": must not be longer than {high} = \"{most}\""));
    }
    Ok(())
}

fn at_least_one(key: &str, value: usize) -> Result<(), String> {
    if value == 0 { Err(format!("{key} = 0: must be at least 1")) } else { Ok(()) }
}

fn within(key: &str, value: f64, least: f64, most: f64) -> Result<(), String> {
    if (least..=most).contains(&value) {
        Ok(())
    } else {
        Err(format!("{key} = {value}: must be between {least} and {most}"))
    }
}
