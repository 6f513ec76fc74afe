//! Text from outside that people read in logs, records and terminals.

/// Control characters (C0, DEL, C1), line and paragraph separators, and characters that reorder or hide text (Unicode
/// TR 36, "bidi"; zero width): shown as they are, they let one text pass for another.
#[must_use]
pub fn is_unprintable(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// Escapes those characters in a text of JSON, where they can only be within strings. JSON allows most of them raw.
pub(crate) fn escape_unprintable(json: &mut String) {
    // Almost always there is none, and what is not ASCII is rare.
    if json.is_ascii() && memchr::memchr(0x7f, json.as_bytes()).is_none() || !json.contains(is_unprintable) {
        return;
    }
    let mut escaped = String::with_capacity(json.len() + 16);
    for c in json.chars() {
        if is_unprintable(c) && c != '\n' {
            let mut units = [0; 2];
            for unit in c.encode_utf16(&mut units) {
                escaped.push_str(&format!("\\u{unit:04x}"));
            }
        } else {
            escaped.push(c);
        }
    }
    *json = escaped;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_reorders_hides_or_controls_is_escaped_and_reads_back_the_same() {
        let odd = "a\u{202e}b\u{2066}c\u{85}d\u{9b}31m\u{7f}\u{2028}\u{200b}\u{e0041}é";
        let mut json = format!("{{\"text\":\"{odd}\"}}\n");
        escape_unprintable(&mut json);
        assert!(json.trim_end().chars().all(|c| !is_unprintable(c)), "{json}");
        assert!(json.contains("\\u202e") && json.contains("\\udb40\\udc41") && json.contains('é'), "{json}");
        let read: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(read["text"], odd);
    }

    #[test]
    fn ordinary_text_stays_as_it_is() {
        let mut json = "{\"text\":\"Grüße, 世界\"}\n".to_owned();
        escape_unprintable(&mut json);
        assert_eq!(json, "{\"text\":\"Grüße, 世界\"}\n");
    }
}
