//! The text of a rich text field: Cloud sends documents of nested nodes (Atlassian Document Format),
//! Data Center and older versions of the interface send text with wiki marks.

use serde_json::Value;

/// Deepest nesting that is followed.
const DEPTH: usize = 64;

/// Its text without formatting, a line per block; wiki marks stay. `None` when there is no text.
pub(crate) fn text(value: &Value) -> Option<String> {
    let mut found = String::new();
    match value {
        Value::String(text) => found.push_str(text),
        value => collect(value, &mut found, DEPTH),
    }
    let found = found.trim();
    (!found.is_empty()).then(|| found.to_string())
}

fn collect(node: &Value, found: &mut String, depth: usize) {
    let Some(depth) = depth.checked_sub(1) else {
        return;
    };
    let attribute = |name: &str| {
        node.pointer(&format!("/attrs/{name}"))
            .and_then(Value::as_str)
    };
    let kind = node.get("type").and_then(Value::as_str).unwrap_or_default();
    match kind {
        "text" => found.push_str(node.get("text").and_then(Value::as_str).unwrap_or_default()),
        "hardBreak" => found.push('\n'),
        "mention" | "status" | "date" | "placeholder" => {
            let shown = attribute("text").or_else(|| attribute("timestamp"));
            found.push_str(shown.unwrap_or_default());
        }
        "emoji" => {
            let shown = attribute("text").or_else(|| attribute("shortName"));
            found.push_str(shown.unwrap_or_default());
        }
        "inlineCard" | "blockCard" | "embedCard" => {
            found.push_str(attribute("url").unwrap_or_default());
        }
        _ => {}
    }
    for child in node
        .get("content")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
    {
        collect(child, found, depth);
    }
    let is_block = matches!(
        kind,
        "paragraph" | "heading" | "codeBlock" | "rule" | "blockCard" | "embedCard" | "tableRow"
    );
    if is_block && !found.ends_with('\n') {
        found.push('\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_document_becomes_lines() {
        let document = json!({"type": "doc", "version": 1, "content": [
            {"type": "paragraph", "content": [
                {"type": "text", "text": "See "},
                {"type": "mention", "attrs": {"id": "u1", "text": "@Ana"}},
                {"type": "hardBreak"},
                {"type": "inlineCard", "attrs": {"url": "https://x/1"}},
            ]},
            {"type": "bulletList", "content": [
                {"type": "listItem", "content": [{"type": "paragraph", "content": [{"type": "text", "text": "one"}]}]},
                {"type": "listItem", "content": [{"type": "paragraph", "content": [{"type": "text", "text": "two"}]}]},
            ]},
        ]});
        assert_eq!(
            text(&document).as_deref(),
            Some("See @Ana\nhttps://x/1\none\ntwo")
        );
        assert_eq!(text(&json!("*wiki*")).as_deref(), Some("*wiki*"));
        assert_eq!(text(&json!(null)), None);
        assert_eq!(text(&json!({"type": "doc", "content": []})), None);
    }

    #[test]
    fn endless_nesting_ends() {
        let mut node = json!({"type": "text", "text": "deep"});
        for _ in 0..200 {
            node = json!({"type": "blockquote", "content": [node]});
        }
        assert_eq!(text(&node), None);
    }
}
