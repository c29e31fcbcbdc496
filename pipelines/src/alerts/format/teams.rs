//! Messages for the webhooks of Teams workflows: an adaptive card in its envelope.
//!
//! Teams reads a `TextBlock` and the facts of a `FactSet` as Markdown, and a `TextRun` as plain text; so all
//! that is told is written in runs. Version 1.2 is the oldest that has them: a client shows no card that is
//! newer than itself.

use serde_json::{Value, json};
use warehouse::meta::ClaimedAlert;

use super::{facts, title};
use crate::alerts::cut;

/// Longest line, in characters: Teams takes 28 KB in all.
const LINE: usize = 600;

/// The message.
pub(in crate::alerts) fn message(told: &ClaimedAlert) -> Value {
    let color = match (&told.resolves, told.alert.severity.as_str()) {
        (Some(_), _) => "good",
        (None, "error") => "attention",
        (None, "warning") => "warning",
        (None, _) => "default",
    };
    let title = run(
        &title(told),
        json!({"weight": "bolder", "size": "medium", "color": color}),
    );
    let mut body = vec![paragraph(vec![title])];
    for line in &told.alert.lines {
        body.push(paragraph(vec![run(line, json!({}))]));
    }
    for (name, value) in facts(told) {
        body.push(paragraph(vec![
            run(
                &format!("{name}: "),
                json!({"isSubtle": true, "size": "small"}),
            ),
            run(&value, json!({"size": "small"})),
        ]));
    }
    let mut card = json!({
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.2",
        "body": body,
    });
    if let Some(link) = &told.alert.link {
        card["actions"] = json!([{"type": "Action.OpenUrl", "title": "Open the run", "url": link}]);
    }
    json!({
        "type": "message",
        "attachments": [{
            "contentType": "application/vnd.microsoft.card.adaptive",
            "contentUrl": null,
            "content": card,
        }],
    })
}

fn paragraph(inlines: Vec<Value>) -> Value {
    json!({"type": "RichTextBlock", "inlines": inlines, "spacing": "small"})
}

fn run(text: &str, style: Value) -> Value {
    // Two braces would begin a date or a value to be filled in.
    let text = text.replace("{{", "{ {").replace("${", "$ {");
    let mut run = json!({"type": "TextRun", "text": cut(&text, LINE)});
    if let (Value::Object(run), Value::Object(style)) = (&mut run, style) {
        run.extend(style);
    }
    run
}
