//! Upstreams and gateways that send back what they were sent: our token must reach no answer, log or record, in whatever form.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use bytes::Bytes;
use memchr::memmem;

/// Pieces of a secret of this length are searched for, so that a truncated secret is found, too. Shorter ones would match by
/// chance.
const PIECE: usize = 12;
/// A token of fewer bytes, which only a stub upstream gives, is no secret: it would be found by chance in every body.
const SHORTEST: usize = 4;

/// The body without `secret`. Where the secret occurs literally, it is replaced; a body that has it in another form, or a part of
/// it, is dropped as a whole.
pub(super) fn without(body: Bytes, secret: &[u8]) -> Bytes {
    if secret.len() < SHORTEST || body.is_empty() {
        return body;
    }
    let body = replaced(body, secret);
    if gives_away(&body, secret) { Bytes::new() } else { body }
}

/// Whether the text has the secret or a piece of it: as it is, with escapes of JSON, or as base64.
pub(super) fn gives_away(text: &[u8], secret: &[u8]) -> bool {
    let text = unescaped(text);
    pieces(secret).into_iter().any(|piece| memmem::find(&text, &piece).is_some())
}

/// The same for an id, which every answer has. An id in the usual form, a UUID, cannot be the secret in another encoding, so it
/// is enough to check that it is not a part of the secret, which costs a fiftieth.
pub(super) fn id_gives_away(id: &str, secret: &[u8]) -> bool {
    if uuid::Uuid::try_parse(id).is_ok() {
        return secret.windows(id.len()).any(|part| part == id.as_bytes());
    }
    gives_away(id.as_bytes(), secret)
}

fn replaced(body: Bytes, secret: &[u8]) -> Bytes {
    if memmem::find(&body, secret).is_none() {
        return body;
    }
    String::from_utf8_lossy(&body).replace(&*String::from_utf8_lossy(secret), "[token]").into()
}

/// What gives the secret away: its own pieces, and those of its base64, which depends on its offset modulo three.
fn pieces(secret: &[u8]) -> Vec<Vec<u8>> {
    let cut =
        |text: &[u8]| text.chunks(PIECE).filter(|piece| piece.len() == PIECE).map(<[u8]>::to_vec).collect::<Vec<_>>();
    if secret.len() < PIECE {
        return if secret.len() < SHORTEST { Vec::new() } else { vec![secret.to_vec()] };
    }
    let mut pieces = cut(secret);
    for before in 0..3 {
        let shifted = [&[0; 3][..before], secret].concat();
        // The first and last digits also depend on the bytes beside the secret.
        for text in [STANDARD_NO_PAD.encode(&shifted), URL_SAFE_NO_PAD.encode(&shifted)] {
            let inner = text.as_bytes().get(4..text.len().saturating_sub(2)).unwrap_or_default();
            pieces.extend(cut(inner));
        }
    }
    pieces.sort_unstable();
    pieces.dedup();
    pieces
}

/// A text of JSON with its escapes taken away, as far as a token can have any.
fn unescaped(text: &[u8]) -> Cow<'_, [u8]> {
    if memchr::memchr(b'\\', text).is_none() {
        return Cow::Borrowed(text);
    }
    let (mut plain, mut rest) = (Vec::with_capacity(text.len()), text);
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if byte != b'\\' {
            plain.push(byte);
            continue;
        }
        let digits = rest.strip_prefix(b"u").and_then(|hex| hex.get(..4)).and_then(|hex| std::str::from_utf8(hex).ok());
        let unit = digits.and_then(|digits| u32::from_str_radix(digits, 16).ok());
        // Other escapes stand for what follows them, as far as a token can have any.
        if let Some(ascii) = unit.and_then(|unit| u8::try_from(unit).ok()) {
            plain.push(ascii);
            rest = rest.get(5..).unwrap_or_default();
        }
    }
    Cow::Owned(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: &[u8] = b"pXk3-Zq9_canary-token-0123456789-abcdefgh";

    #[test]
    fn a_token_that_stands_as_it_is_is_replaced_and_the_rest_is_kept() {
        let body = Bytes::from([br#"{"message":"bad token "#, TOKEN, br#""}"#].concat());
        assert_eq!(&*without(body, TOKEN), br#"{"message":"bad token [token]"}"#);
        let other = Bytes::from_static(br#"{"message":"no"}"#);
        assert_eq!(without(other.clone(), TOKEN), other);
        assert_eq!(without(other.clone(), b""), other);
    }

    #[test]
    fn a_body_with_the_token_in_another_form_or_a_part_of_it_is_dropped() {
        let escaped: String = TOKEN.iter().map(|byte| format!("\\u{byte:04X}")).collect();
        let slashed = String::from_utf8_lossy(TOKEN).replace('-', "\\-");
        let mut forms = vec![escaped.into_bytes(), slashed.into_bytes(), TOKEN[..30].to_vec(), TOKEN[15..].to_vec()];
        for before in ["", "B", "Be", "Bearer "] {
            let whole = [before.as_bytes(), TOKEN, b" and more"].concat();
            forms.push(STANDARD_NO_PAD.encode(&whole).into_bytes());
            forms.push(URL_SAFE_NO_PAD.encode(&whole).into_bytes());
        }
        for form in forms {
            let body = [b"{\"message\":\"you sent ", &form[..], b"\"}"].concat();
            assert!(without(body.into(), TOKEN).is_empty(), "{}", String::from_utf8_lossy(&form));
        }
    }

    #[test]
    fn an_id_is_searched_as_well_and_a_uuid_that_is_the_secret_is_found() {
        let id = "0a1b2c3d-4e5f-4a6b-8c7d-9e0f1a2b3c4d";
        assert!(!id_gives_away(id, b"a-token-that-nobody-may-see"));
        assert!(id_gives_away("x-a-token-that-nobody-may-see", b"a-token-that-nobody-may-see"));
        assert!(id_gives_away(id, id.as_bytes()) && id_gives_away(id, format!("bearer.{id}").as_bytes()));
    }

    #[test]
    fn the_token_of_a_stub_that_is_shorter_than_any_secret_is_left_in_place() {
        let body = Bytes::from_static(br#"{"state":"connected"}"#);
        for token in ["t", "at", "con"] {
            assert_eq!(without(body.clone(), token.as_bytes()), body);
            assert!(!gives_away(&body, token.as_bytes()) && !id_gives_away("x-contact", token.as_bytes()));
        }
    }

    #[test]
    fn a_broken_escape_harms_nothing() {
        for text in [&b"\\"[..], b"\\u", b"\\u00", b"\\u12zz", b"\\\\"] {
            assert!(!gives_away(text, TOKEN));
        }
    }
}
