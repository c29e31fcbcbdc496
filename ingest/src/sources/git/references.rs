//! Issue keys in titles, branch names and messages. The texts are anybody's.

/// Most keys of one text.
const MOST_KEYS: usize = 50;
/// Most bytes of a text that are looked at.
const MOST_BYTES: usize = 64 << 10;
/// Longest project key.
const PROJECT_KEY: usize = 32;
/// Most digits of an issue's number.
const DIGITS: usize = 9;

/// The issue keys that a text names, each once, in order of their first mention: a project key in
/// capitals (two characters or more), a hyphen, a number that does not begin with zero. A key stands
/// alone: no letter, digit or underscore touches it.
pub(super) fn issue_keys(text: &str) -> Vec<&str> {
    let text = cut(text);
    let mut keys: Vec<&str> = Vec::new();
    for (hyphen, _) in text.match_indices('-') {
        let Some(key) = key_around(text, hyphen) else {
            continue;
        };
        if !keys.contains(&key) {
            keys.push(key);
        }
        if keys.len() == MOST_KEYS {
            break;
        }
    }
    keys
}

fn cut(text: &str) -> &str {
    if text.len() <= MOST_BYTES {
        return text;
    }
    let end = (0..=MOST_BYTES).rev().find(|at| text.is_char_boundary(*at));
    text.get(..end.unwrap_or_default()).unwrap_or_default()
}

/// The key whose hyphen stands there.
fn key_around(text: &str, hyphen: usize) -> Option<&str> {
    let bytes = text.as_bytes();
    let is_key = |byte: &u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || *byte == b'_';
    let before = bytes.get(..hyphen)?.iter().rev();
    let length = before.take(PROJECT_KEY + 1).take_while(|byte| is_key(byte));
    let length = length.count();
    let after = bytes.get(hyphen + 1..)?.iter().take(DIGITS + 1);
    let digits = after.take_while(|byte| byte.is_ascii_digit()).count();
    if !(2..=PROJECT_KEY).contains(&length) || !(1..=DIGITS).contains(&digits) {
        return None;
    }
    let (start, end) = (hyphen - length, hyphen + 1 + digits);
    let starts_well = bytes.get(start)?.is_ascii_uppercase() && bytes.get(hyphen + 1)? != &b'0';
    let touches = |one: Option<char>| one.is_some_and(|one| one.is_alphanumeric() || one == '_');
    let alone = !touches(text.get(..start)?.chars().next_back())
        && !touches(text.get(end..)?.chars().next());
    (starts_well && alone).then(|| text.get(start..end))?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_stand_alone_and_in_capitals() {
        for (text, keys) in [
            ("ABC-12 Pay by card", &["ABC-12"][..]),
            ("feature/ABC-12-pay-by-card", &["ABC-12"]),
            (
                "Fix AB_2-7, (XY1-3) and ABC-12; see ABC-12",
                &["AB_2-7", "XY1-3", "ABC-12"],
            ),
            ("[ABC-1][ABC-2]ABC-3", &["ABC-1", "ABC-2", "ABC-3"]),
            ("Merge ABC-1/ABC-2\n\nABC-3", &["ABC-1", "ABC-2", "ABC-3"]),
            ("abc-12 Abc-12 A-1 ABC-012 ABC-0 ABC- -12 ABC_-", &[]),
            ("xABC-12 ABC-12x ABC-12_ 9ABC-12 éABC-1 ABC-1é", &[]),
            ("ABC-1234567890", &[]),
            ("ABC--1 ABC-+1 ABC\u{2011}1", &[]),
            ("日本ABC-1 「ABC-2」", &["ABC-2"]),
            ("", &[]),
        ] {
            assert_eq!(issue_keys(text), keys, "{text}");
        }
    }

    #[test]
    fn hostile_texts_are_bounded() {
        let many: String = (1..500).map(|number| format!("ABC-{number} ")).collect();
        assert_eq!(issue_keys(&many).len(), MOST_KEYS);
        let long = format!("{}ABC-1", "é".repeat(MOST_BYTES));
        assert!(issue_keys(&long).is_empty());
        let capitals = format!("{}-1", "A".repeat(1 << 20));
        assert!(issue_keys(&capitals).is_empty());
        assert!(issue_keys(&"-".repeat(1 << 20)).is_empty());
        assert!(issue_keys(&format!("{}-1", "A".repeat(PROJECT_KEY + 1))).is_empty());
    }
}
