//! The 17 regions of Genesys Cloud, by AWS name. Source: the official SDKs' region tables, 2026-11.

/// AWS name and domain of each region. The API is at `api.<domain>`, the login at `login.<domain>`.
const REGIONS: [(&str, &str); 17] = [
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
    ("me-central-1", "mec1.pure.cloud"),
    ("ap-south-1", "aps1.pure.cloud"),
    ("ap-southeast-1", "apse1.pure.cloud"),
    ("ap-southeast-2", "mypurecloud.com.au"),
    ("ap-northeast-1", "mypurecloud.jp"),
    ("ap-northeast-2", "apne2.pure.cloud"),
    ("ap-northeast-3", "apne3.pure.cloud"),
];

/// The domain of a region, by its AWS name.
#[must_use]
pub fn domain(region: &str) -> Option<&'static str> {
    REGIONS.iter().find(|(name, _)| *name == region).map(|(_, domain)| *domain)
}

/// All AWS names, for messages.
pub fn names() -> impl Iterator<Item = &'static str> {
    REGIONS.iter().map(|(name, _)| *name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_seventeen_regions_are_known_and_different() {
        let mut domains: Vec<_> = names().map(|name| domain(name).unwrap()).collect();
        domains.sort_unstable();
        domains.dedup();
        assert_eq!(domains.len(), 17);
        assert_eq!(domain("ap-southeast-1"), Some("apse1.pure.cloud"));
        assert_eq!(domain("mypurecloud.com"), None);
    }
}
