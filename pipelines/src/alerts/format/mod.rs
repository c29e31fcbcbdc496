//! What is written to whom. Subjects and lines may hold what people wrote in a source, so nothing of them
//! is understood as a link, a mention or mark-up by the receiver.

pub(super) mod mail;
pub(super) mod slack;
pub(super) mod teams;
pub(super) mod webhook;

use warehouse::meta::ClaimedAlert;

use super::instant;

/// Names and values that are told beside the text.
fn facts(told: &ClaimedAlert) -> Vec<(&'static str, String)> {
    let alert = &told.alert;
    let mut facts = vec![("Severity", alert.severity.clone())];
    let named = [
        ("Pipeline", &alert.pipeline),
        ("Run", &alert.run_id),
        ("Connection", &alert.connection),
    ];
    for (name, value) in named {
        facts.extend(value.iter().map(|value| (name, value.clone())));
    }
    facts.push(("At", instant(alert.occurred_at)));
    facts
}

/// The subject, with what tells an end from a beginning.
fn title(told: &ClaimedAlert) -> String {
    match (&told.resolves, told.alert.severity.as_str()) {
        (Some(_), _) => format!("Resolved: {}", told.alert.subject),
        (None, "error") => format!("Error: {}", told.alert.subject),
        (None, "warning") => format!("Warning: {}", told.alert.subject),
        (None, _) => told.alert.subject.clone(),
    }
}

#[cfg(test)]
mod tests {
    use crate::alerts::one_line;

    #[test]
    fn lines_are_lines() {
        assert_eq!(one_line("a\r\nBcc: x\u{7}\u{202e}y", 80), "a Bcc: xy");
        assert_eq!(one_line("ééééé", 3), "éé…");
    }
}
