//! Takes out of a text what must not be shared: ids, numbers and addresses.

/// Digits in a row that may be a telephone number.
const NUMBER: usize = 5;

/// The text with placeholders.
pub(super) fn redacted(text: &str) -> String {
    let mut words: Vec<String> = Vec::new();
    for word in text.split(' ') {
        words.push(placeholder(word).unwrap_or_else(|| word.to_owned()));
    }
    words.join(" ")
}

fn placeholder(word: &str) -> Option<String> {
    let core = word.trim_matches(|c: char| !c.is_alphanumeric() && c != '+');
    let put = |name: &str| Some(word.replacen(core, name, 1));
    if word.contains('@') || ["tel:", "sip:", "sips:"].iter().any(|scheme| core.starts_with(scheme)) {
        return put("<address>");
    }
    let hex = |part: &str| part.len() >= NUMBER && part.bytes().all(|byte| byte.is_ascii_hexdigit());
    let digits = core.bytes().filter(u8::is_ascii_digit).count();
    let uuid = core.split(|c: char| !c.is_ascii_hexdigit() && c != '-').find(|part| part.len() >= 36);
    if let Some(uuid) = uuid {
        return Some(word.replacen(uuid, "<id>", 1));
    }
    if hex(core) && digits > 0 && core.len() > 12 {
        return put("<id>");
    }
    if digits >= NUMBER { put("<number>") } else { None }
}

#[cfg(test)]
mod tests {
    use super::redacted;

    #[test]
    fn what_could_name_a_person_is_taken_out() {
        for (text, shown) in [
            (
                "404 not.found: no participant 0a1b2c3d-4e5f-4a6b-8c7d-9e0f1a2b3c4d.",
                "404 not.found: no participant <id>.",
            ),
            ("call from +4930123456 to tel:+1555,", "call from <number> to <address>,"),
            ("sip:ann@example.com left", "<address> left"),
            ("org 0a1b2c3d4e5f60718293 is busy", "org <id> is busy"),
            ("409 conversation.error.wrapup.code.required", "409 conversation.error.wrapup.code.required"),
            ("gone after 0.6 s", "gone after 0.6 s"),
        ] {
            assert_eq!(redacted(text), shown);
        }
    }
}
