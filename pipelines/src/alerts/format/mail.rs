//! Mails: plain text, and the same as HTML.

use chrono::Utc;
use lettre::Message;
use lettre::message::header::{HeaderName, HeaderValue};
use lettre::message::{Mailbox, MultiPart};
use warehouse::meta::ClaimedAlert;

use super::{facts, title};

/// The mail. The same alert has the same `Message-ID` at every attempt.
pub(in crate::alerts) fn message(
    told: &ClaimedAlert,
    from: &Mailbox,
    to: &[Mailbox],
) -> Result<Message, String> {
    let mut mail = Message::builder()
        .from(from.clone())
        .date(
            told.raised_at
                .max(Utc::now() - chrono::TimeDelta::days(7))
                .into(),
        )
        .message_id(Some(id(&told.alert_id, from)))
        .subject(title(told));
    for receiver in to {
        mail = mail.to(receiver.clone());
    }
    if let Some(resolved) = &told.resolves {
        mail = mail.in_reply_to(id(resolved, from));
    }
    // So that no absence notice answers it (RFC 3834).
    let automatic = HeaderName::new_from_ascii_str("Auto-Submitted");
    mail = mail.raw_header(HeaderValue::new(automatic, "auto-generated".to_string()));
    let body = MultiPart::alternative_plain_html(plain(told), html(told));
    mail.multipart(body).map_err(|error| error.to_string())
}

fn id(alert_id: &str, from: &Mailbox) -> String {
    format!("<{alert_id}.sprint-reports@{}>", from.email.domain())
}

fn plain(told: &ClaimedAlert) -> String {
    let mut lines = told.alert.lines.clone();
    lines.extend(
        told.alert
            .link
            .iter()
            .map(|link| format!("The run: {link}")),
    );
    lines.push(String::new());
    let facts = facts(told);
    lines.extend(facts.iter().map(|(name, value)| format!("{name}: {value}")));
    lines.join("\n") + "\n"
}

fn html(told: &ClaimedAlert) -> String {
    let mut html = format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"></head><body><h3>{}</h3>",
        escaped(&title(told))
    );
    for line in &told.alert.lines {
        html.push_str(&format!("<p>{}</p>", escaped(line)));
    }
    if let Some(link) = &told.alert.link {
        html.push_str(&format!(
            "<p><a href=\"{}\">Open the run</a></p>",
            escaped(link)
        ));
    }
    html.push_str("<table>");
    for (name, value) in facts(told) {
        html.push_str(&format!(
            "<tr><td>{name}</td><td>{}</td></tr>",
            escaped(&value)
        ));
    }
    html.push_str("</table></body></html>");
    html
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
        .replace('\'', "&#39;")
}
