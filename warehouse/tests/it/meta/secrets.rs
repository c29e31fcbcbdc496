//! Secrets are stored encrypted, for their place and key only.

use sqlx::Row;
use warehouse::meta::SecretPlace;
use warehouse::{Error, SecretKey};

use super::Backend;

const PLACE: SecretPlace<'_> = SecretPlace {
    connection: "acme",
    name: "sign-in",
    origin: "one",
};

super::over_both!(
    a_secret_outlives_the_process_and_is_read_with_its_key_only,
    secrets_are_encrypted_anew_and_can_be_read_all_the_time,
);

async fn secrets_are_encrypted_anew_and_can_be_read_all_the_time(backend: Backend) {
    let old = SecretKey::random().unwrap();
    let meta = backend.open_with(Some(&old)).await;
    let other = SecretPlace {
        connection: "other",
        ..PLACE
    };
    meta.keep_secret(PLACE, "hunter2").await.unwrap();
    meta.keep_secret(other, "correct horse").await.unwrap();
    let new = old.successor().unwrap();
    let both = backend.open_with(Some(&new)).await;
    let read = async |meta: &warehouse::MetaDb| {
        let one = meta.secret(PLACE).await.unwrap();
        (one, meta.secret(other).await.unwrap())
    };
    let texts = (
        Some("hunter2".to_string()),
        Some("correct horse".to_string()),
    );
    assert_eq!(read(&both).await, texts);
    // One is written meanwhile, with the new key; the other is encrypted anew.
    both.keep_secret(PLACE, "hunter2").await.unwrap();
    assert_eq!(both.rotate_secrets().await.unwrap(), 1);
    assert_eq!(both.rotate_secrets().await.unwrap(), 0);
    let alone = backend.open_with(Some(&new.alone())).await;
    assert_eq!(read(&alone).await, texts);
    let error = meta.secret(PLACE).await.unwrap_err();
    assert!(matches!(error, Error::WrongKey { .. }));
}

async fn a_secret_outlives_the_process_and_is_read_with_its_key_only(backend: Backend) {
    let key = SecretKey::random().unwrap();
    let meta = backend.open_with(Some(&key)).await;
    assert_eq!(meta.secret(PLACE).await.unwrap(), None);
    meta.keep_secret(PLACE, "hunter2hunter2").await.unwrap();
    meta.keep_secret(PLACE, "correct horse").await.unwrap();
    let again = backend.open_with(Some(&key)).await;
    let read = again.secret(PLACE).await.unwrap();
    assert_eq!(read.as_deref(), Some("correct horse"));
    // A secret of another origin is out of date, whatever it was encrypted with.
    let newer = SecretPlace {
        origin: "two",
        ..PLACE
    };
    let stranger = SecretKey::random().unwrap();
    let other = backend.open_with(Some(&stranger)).await;
    assert_eq!(other.secret(newer).await.unwrap(), None);
    let error = other.secret(PLACE).await.unwrap_err();
    assert!(matches!(error, Error::WrongKey { .. }));
    let text = error.to_string();
    for part in [
        "the sign-in of connection 'acme'",
        &key.id(),
        &stranger.id(),
        "SPRINT_REPORTS_KEY",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let keyless = backend.open_with(None).await;
    let error = keyless.keep_secret(PLACE, "x").await.unwrap_err();
    assert!(matches!(error, Error::NoKey { .. }), "{error}");
    // Neither the texts nor the key are in any file, or in the table.
    let texts = ["hunter2", "correct horse", &key.reveal()];
    let contains = |bytes: &[u8], text: &str| {
        let mut parts = bytes.windows(text.len());
        parts.any(|part| part == text.as_bytes())
    };
    let sealed = backend.raw("select sealed from secrets").await;
    let sealed: Vec<u8> = sealed[0].get("sealed");
    assert!(!texts.iter().any(|text| contains(&sealed, text)));
    for file in std::fs::read_dir(backend.folder.path()).unwrap() {
        let path = file.unwrap().path();
        if path.is_file() {
            let bytes = std::fs::read(&path).unwrap();
            for text in texts {
                assert!(!contains(&bytes, text), "{text} in {}", path.display());
            }
        }
    }
}
