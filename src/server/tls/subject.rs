//! The common name of a certificate's subject, for logs. The certificate has been verified by the time it is read.

/// OID 2.5.4.3, `commonName`.
const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];

const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const VERSION: u8 = 0xa0;
const UTF8_STRING: u8 = 0x0c;
const PRINTABLE_STRING: u8 = 0x13;
const IA5_STRING: u8 = 0x16;

/// The last common name in the subject of this DER certificate, if it has one that is text. Control characters are
/// left out: the name goes into logs.
pub(crate) fn common_name(certificate: &[u8]) -> Option<String> {
    let (certificate, _) = expect(certificate, SEQUENCE)?;
    let (mut rest, _) = expect(certificate, SEQUENCE)?;
    if let Some((_, after)) = expect(rest, VERSION) {
        rest = after;
    }
    // Serial number, signature algorithm, issuer, validity.
    for _ in 0..4 {
        (_, _, rest) = element(rest)?;
    }
    let (mut names, _) = expect(rest, SEQUENCE)?;
    let mut found = None;
    while !names.is_empty() {
        let (mut set, after) = expect(names, SET)?;
        names = after;
        while !set.is_empty() {
            let (attribute, after) = expect(set, SEQUENCE)?;
            set = after;
            let (_, oid, value) = element(attribute)?;
            if oid == COMMON_NAME {
                found = text(value).or(found);
            }
        }
    }
    found
}

fn text(value: &[u8]) -> Option<String> {
    let (tag, bytes, _) = element(value)?;
    if ![UTF8_STRING, PRINTABLE_STRING, IA5_STRING].contains(&tag) {
        return None;
    }
    Some(std::str::from_utf8(bytes).ok()?.chars().filter(|c| !c.is_control()).collect())
}

fn expect(input: &[u8], wanted: u8) -> Option<(&[u8], &[u8])> {
    element(input).filter(|(tag, ..)| *tag == wanted).map(|(_, content, rest)| (content, rest))
}

/// One DER element: its tag, its content, and what follows.
fn element(input: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = input.split_first()?;
    let (&first, mut rest) = rest.split_first()?;
    let length = if first < 0x80 {
        usize::from(first)
    } else {
        let count = usize::from(first & 0x7f);
        if count == 0 || count > 4 {
            return None;
        }
        let digits = rest.get(..count)?;
        rest = rest.get(count..)?;
        digits.iter().fold(0, |length, digit| length << 8 | usize::from(*digit))
    };
    Some((tag, rest.get(..length)?, rest.get(length..)?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rcgen::{CertificateParams, DnType, KeyPair};

    use super::*;

    fn certificate(name: Option<&str>) -> Vec<u8> {
        let mut params = CertificateParams::new(vec!["x.example".to_owned()]).unwrap();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::OrganizationName, "Example");
        if let Some(name) = name {
            params.distinguished_name.push(DnType::CommonName, name);
        }
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().to_vec()
    }

    #[test]
    fn the_common_name_is_found() {
        assert_eq!(common_name(&certificate(Some("Ivr Süd"))).as_deref(), Some("Ivr Süd"));
        assert_eq!(common_name(&certificate(Some("two\nlines"))).as_deref(), Some("twolines"));
        assert_eq!(common_name(&certificate(None)), None);
    }

    proptest! {
        #[test]
        fn nothing_makes_it_panic(noise in proptest::collection::vec(any::<u8>(), 0..200), at in 0usize..300) {
            common_name(&noise);
            let mut der = certificate(Some("x"));
            der.truncate(at);
            der.extend(noise);
            common_name(&der);
        }
    }
}
