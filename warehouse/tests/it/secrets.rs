//! Secrets are stored encrypted, for their place and key only.

use warehouse::meta::SecretPlace;
use warehouse::{Config, Error, MetaDb, SecretKey, Warehouse};

const PLACE: SecretPlace<'_> = SecretPlace {
    connection: "acme",
    name: "sign-in",
    origin: "one",
};

async fn opened(folder: &tempfile::TempDir, key: Option<&SecretKey>) -> MetaDb {
    let path = folder.path().display();
    let config = Config {
        store_url: format!("file:{path}/lake"),
        metadata_url: format!("sqlite:{path}/meta.db"),
        key: key.cloned(),
        ..Config::default()
    };
    Warehouse::open(&config).await.unwrap().meta().clone()
}

#[tokio::test]
async fn a_secret_outlives_the_process_and_is_read_with_its_key_only() {
    let folder = tempfile::tempdir().unwrap();
    let key = SecretKey::random().unwrap();
    let meta = opened(&folder, Some(&key)).await;
    assert_eq!(meta.secret(PLACE).await.unwrap(), None);
    meta.keep_secret(PLACE, "hunter2hunter2").await.unwrap();
    meta.keep_secret(PLACE, "correct horse").await.unwrap();
    let again = opened(&folder, Some(&key)).await;
    let read = again.secret(PLACE).await.unwrap();
    assert_eq!(read.as_deref(), Some("correct horse"));
    // A secret of another origin is out of date, whatever it was encrypted with.
    let newer = SecretPlace {
        origin: "two",
        ..PLACE
    };
    let stranger = SecretKey::random().unwrap();
    let other = opened(&folder, Some(&stranger)).await;
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
    let keyless = opened(&folder, None).await;
    let error = keyless.keep_secret(PLACE, "x").await.unwrap_err();
    assert!(matches!(error, Error::NoKey { .. }), "{error}");
    // Neither the texts nor the key are in any file.
    for file in std::fs::read_dir(folder.path()).unwrap() {
        let path = file.unwrap().path();
        if path.is_file() {
            let bytes = std::fs::read(&path).unwrap();
            for text in ["hunter2", "correct horse", key.reveal().as_str()] {
                let found = bytes
                    .windows(text.len())
                    .any(|part| part == text.as_bytes());
                assert!(!found, "{text} in {}", path.display());
            }
        }
    }
}
