//! Messages for the incoming webhooks of Slack, as blocks.
//!
//! Slack reads `<…>` as a link or a mention, so `&`, `<` and `>` are written as Slack asks for; `verbatim`
//! keeps it from finding more of them in plain text. Limits: docs.slack.dev/reference/block-kit/blocks.

use serde_json::{Value, json};
use warehouse::meta::ClaimedAlert;

use super::{facts, title};
use crate::alerts::cut;

/// Longest text of a header, in characters.
const HEADER: usize = 150;
/// Longest text of a section, in characters.
const SECTION: usize = 3000;
/// Longest link that is told.
const LINK: usize = 2000;

/// The message.
pub(in crate::alerts) fn message(told: &ClaimedAlert) -> Value {
    let title = without_brackets(&title(told));
    let mut blocks = vec![json!({
        "type": "header",
        "text": {"type": "plain_text", "text": cut(&title, HEADER), "emoji": false},
    })];
    let text = escaped(&told.alert.lines.join("\n"), SECTION);
    if !text.is_empty() {
        blocks.push(section(text));
    }
    if let Some(link) = told.alert.link.as_deref().and_then(link) {
        blocks.push(section(format!("<{link}|Open the run>")));
    }
    let facts: Vec<String> = facts(told)
        .iter()
        .map(|(name, value)| format!("{name}: {value}"))
        .collect();
    blocks.push(json!({
        "type": "context",
        "elements": [mrkdwn(escaped(&facts.join(" · "), SECTION))],
    }));
    json!({
        "text": title,
        "blocks": blocks,
        "unfurl_links": false,
        "unfurl_media": false,
    })
}

fn section(text: String) -> Value {
    json!({"type": "section", "text": mrkdwn(text)})
}

fn mrkdwn(text: String) -> Value {
    json!({"type": "mrkdwn", "text": text, "verbatim": true})
}

/// A text that Slack shows as it is, of at most so many characters as they are written.
fn escaped(text: &str, most: usize) -> String {
    let mut written = String::new();
    let mut length = 0;
    for c in text.chars() {
        let plain = c.to_string();
        let piece = match c {
            '&' => "&amp;",
            '<' => "&lt;",
            '>' => "&gt;",
            _ => &plain,
        };
        let piece_length = piece.chars().count();
        // Room for the mark that something is missing.
        if length + piece_length >= most {
            written.push('…');
            break;
        }
        written.push_str(piece);
        length += piece_length;
    }
    written
}

/// Plain text has no escapes, so what looks like a mention is taken apart.
fn without_brackets(text: &str) -> String {
    text.replace('<', "‹").replace('>', "›").replace('@', "＠")
}

/// A link without the characters that end it for Slack.
fn link(link: &str) -> Option<String> {
    let url = url::Url::parse(link).ok()?;
    let text = url
        .as_str()
        .replace('|', "%7C")
        .replace('<', "%3C")
        .replace('>', "%3E")
        .replace('&', "&amp;");
    (text.chars().count() <= LINK).then_some(text)
}
