//! JSON for programs, version 1; the README documents it.

use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::{Value, json};
use sha2::Sha256;
use warehouse::meta::ClaimedAlert;

use crate::alerts::instant;

/// The message.
pub(in crate::alerts) fn message(told: &ClaimedAlert) -> Value {
    let alert = &told.alert;
    json!({
        "version": 1,
        "alert_id": told.alert_id,
        "kind": alert.kind,
        "severity": alert.severity,
        "status": if told.resolves.is_some() { "resolved" } else { "open" },
        "resolves": told.resolves,
        "condition": alert.dedupe_key,
        "subject": alert.subject,
        "lines": alert.lines,
        "pipeline": alert.pipeline,
        "run_id": alert.run_id,
        "connection": alert.connection,
        "occurred_at": instant(alert.occurred_at),
        "raised_at": instant(told.raised_at),
        "link": alert.link,
        "attempt": told.attempts,
    })
}

/// `sha256=` and the HMAC-SHA256, in hexadecimal, of the seconds since 1970, a point and the body.
pub(in crate::alerts) fn signature(secret: &str, timestamp: i64, body: &[u8]) -> Option<String> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).ok()?;
    mac.update(format!("{timestamp}.").as_bytes());
    mac.update(body);
    let bytes = mac.finalize().into_bytes();
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    Some(format!("sha256={hex}"))
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_signature_is_the_one_that_others_compute() {
        // printf '1700000000.{"a":1}' | openssl dgst -sha256 -hmac hunter2
        assert_eq!(
            super::signature("hunter2", 1_700_000_000, b"{\"a\":1}").unwrap(),
            "sha256=56b25cbf563812b38800e5f4dd1febfde087d36841155e70b3aa285517e1570a"
        );
    }
}
