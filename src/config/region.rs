//! The 18 regions of Genesys Cloud. Source: the official SDKs' region tables, 2026-11; `eusc-de-east-1` is AWS's European
//! Sovereign Cloud.

/// AWS name and domain of each region. The API is at `api.<domain>`, the login at `login.<domain>`.
const REGIONS: [(&str, &str); 18] = [
    ("us-east-1", "mypurecloud.com"),
    ("us-east-2", "use2.us-gov-pure.cloud"),
    ("us-west-2", "usw2.pure.cloud"),
    ("ca-central-1", "cac1.pure.cloud"),
    ("sa-east-1", "sae1.pure.cloud"),
    ("mx-central-1", "mxc1.pure.cloud"),
    ("eu-west-1", "mypurecloud.ie"),
    ("eu-west-2", "euw2.pure.cloud"),
    ("eu-central-1", "mypurecloud.de"),
    ("eu-central-2", "euc2.pure.cloud"),
    ("eusc-de-east-1", "edee1.eusc-pure.cloud"),
    ("me-central-1", "mec1.pure.cloud"),
    ("ap-south-1", "aps1.pure.cloud"),
    ("ap-southeast-1", "apse1.pure.cloud"),
    ("ap-southeast-2", "mypurecloud.com.au"),
    ("ap-northeast-1", "mypurecloud.jp"),
    ("ap-northeast-2", "apne2.pure.cloud"),
    ("ap-northeast-3", "apne3.pure.cloud"),
];

/// The domain of a region, given by its AWS name (`eu-west-1`) or by what the browser's address bar shows:
/// `mypurecloud.ie`, `apps.mypurecloud.ie`, or the whole address copied from there.
#[must_use]
pub(super) fn domain(region: &str) -> Option<&'static str> {
    let region = region.trim().to_ascii_lowercase();
    let host = region.strip_prefix("https://").unwrap_or(&region).split(['/', '?', '#']).next().unwrap_or_default();
    let bare = ["apps.", "api.", "login."].iter().find_map(|part| host.strip_prefix(part)).unwrap_or(host);
    let found = REGIONS.iter().find(|(name, domain)| *name == region || *domain == bare);
    found.map(|(_, domain)| *domain)
}

/// All AWS names, for messages.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    REGIONS.iter().map(|(name, _)| *name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_eighteen_regions_are_known_and_different() {
        let mut domains: Vec<_> = names().map(|name| domain(name).unwrap()).collect();
        domains.sort_unstable();
        domains.dedup();
        assert_eq!(domains.len(), 18);
        assert_eq!(domain("ap-southeast-1"), Some("apse1.pure.cloud"));
        assert_eq!(domain("eusc-de-east-1"), Some("edee1.eusc-pure.cloud"));
    }

    #[test]
    fn a_region_is_also_known_by_the_address_bar() {
        for shown in [
            "mypurecloud.ie",
            "apps.mypurecloud.ie",
            " Apps.MyPureCloud.ie ",
            "https://apps.mypurecloud.ie/directory/#/engage/admin",
            "login.mypurecloud.ie",
        ] {
            assert_eq!(domain(shown), Some("mypurecloud.ie"), "{shown}");
        }
        for wrong in ["", "pure.cloud", "apps.", "evil-mypurecloud.ie", "mypurecloud.ie.evil.example", "eu-west-9"] {
            assert_eq!(domain(wrong), None, "{wrong}");
        }
    }
}
