//! Opening a metadata database: for the first time, by several at once, of another version, in vain.

use warehouse::{Config, Error, MetadataOptions, Warehouse};

use super::Backend;

super::over_both!(
    several_may_open_an_empty_database_at_once,
    one_of_a_newer_version_is_refused,
    one_whose_migrations_were_changed_is_refused,
    it_says_which_it_is,
    one_that_a_newer_version_adds_columns_to_goes_on_being_read,
);

async fn several_may_open_an_empty_database_at_once(backend: Backend) {
    let opening: Vec<_> = (0..6)
        .map(|_| {
            let config = backend.config();
            tokio::spawn(async move { Warehouse::open(&config).await })
        })
        .collect();
    for opened in opening {
        let warehouse = opened.await.unwrap().unwrap();
        warehouse.meta().start_run("sync", "command").await.unwrap();
    }
    assert_eq!(backend.open().await.runs(100).await.unwrap().len(), 6);
}

async fn one_of_a_newer_version_is_refused(backend: Backend) {
    drop(backend.open().await);
    let empty = if backend.is_postgres() { "''" } else { "x''" };
    backend
        .raw(&format!(
            "insert into _sqlx_migrations (version, description, success, checksum, execution_time)
             values (9999, 'later', true, {empty}, 0)"
        ))
        .await;
    let error = backend.refused().await;
    assert!(
        matches!(error, Error::NewerMetadata { found: 9999, .. }),
        "{error}"
    );
    assert_eq!(error.blame(), schemas::Blame::User);
    let text = error.to_string();
    assert!(
        text.contains("newer version") && text.contains("backup"),
        "{text}"
    );
}

async fn one_whose_migrations_were_changed_is_refused(backend: Backend) {
    drop(backend.open().await);
    let other = if backend.is_postgres() {
        "'\\x00'"
    } else {
        "x'00'"
    };
    let change = format!("update _sqlx_migrations set checksum = {other} where version = 2");
    backend.raw(&change).await;
    let error = backend.refused().await;
    assert!(matches!(error, Error::Migrate(_)), "{error}");
    assert!(error.to_string().contains("migration 2"), "{error}");
}

async fn it_says_which_it_is(backend: Backend) {
    let meta = backend.open().await;
    let state = meta.state().await.unwrap();
    let (database, software) = match backend.is_postgres() {
        true => ("postgres://owner@127.0.0.1:", "PostgreSQL 1"),
        false => ("sqlite:/", "SQLite 3."),
    };
    assert!(state.database.starts_with(database), "{state:?}");
    assert!(state.software.starts_with(software), "{state:?}");
    assert!(state.schema >= 4);
    let shown = format!("{state:?} {:?} {meta:?}", backend.config());
    assert!(!shown.contains(tests::PASSWORD), "{shown}");
}

/// Several processes are not brought to a new version at the same moment.
async fn one_that_a_newer_version_adds_columns_to_goes_on_being_read(backend: Backend) {
    let meta = backend.open().await;
    meta.start_run("sync", "command").await.unwrap();
    let read = async || {
        drop(
            meta.lease("a", "sync", std::time::Duration::from_secs(5))
                .await
                .unwrap(),
        );
        let read = (
            meta.runs(9).await,
            meta.steps(9).await,
            meta.sources().await,
        );
        (
            read.0.unwrap().len(),
            read.1.unwrap().len(),
            read.2.unwrap().len(),
        )
    };
    assert_eq!(read().await, (1, 0, 0));
    for table in ["runs", "steps", "sources", "quarantine", "leases", "inbox"] {
        backend
            .raw(&format!("alter table {table} add column later text"))
            .await;
    }
    for _ in 0..8 {
        assert_eq!(read().await, (1, 0, 0));
        assert!(meta.quarantined(9).await.unwrap().is_empty());
        assert!(meta.inbox(9).await.unwrap().is_empty());
    }
}

/// Opens an address as it stands.
async fn open(url: &str, options: MetadataOptions) -> Result<Warehouse, Error> {
    let folder = tempfile::tempdir().unwrap();
    let config = Config {
        store_url: format!("file:{}/lake", folder.path().display()),
        metadata_url: url.to_string(),
        metadata_options: options,
        ..Config::default()
    };
    Warehouse::open(&config).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_can_not_be_opened_says_why_and_never_the_password() {
    let url = tests::database();
    let nobody = url.replace("owner:", "nobody:");
    // Who may not create tables.
    tests::psql(
        &url,
        "create user guest password 'wrong-8f3'; revoke create on schema public from public",
    );
    let guest = url.replace(&format!("owner:{}", tests::PASSWORD), "guest:wrong-8f3");
    let nowhere = format!("{}/nowhere", url.rsplit_once('/').unwrap().0);
    // Its certificate is nobody's whom one trusts; named, it is, but for another name.
    let untrusted = format!("{url}?sslmode=verify-full");
    let certificate = tests::certificate().display().to_string();
    let trusted = format!("{untrusted}&sslrootcert={certificate}");
    for (url, words) in [
        (
            url.replace(tests::PASSWORD, "wrong-8f3"),
            "correct the user or the password",
        ),
        (nobody, "correct the user or the password"),
        (guest, "let the user create tables"),
        (nowhere, "createdb"),
        (untrusted, "sslrootcert"),
        (trusted.clone(), "sslrootcert"),
        (
            format!("{url}?password=wrong-8f3"),
            "behind the ? may stand",
        ),
    ] {
        let error = open(&url, MetadataOptions::default()).await.unwrap_err();
        assert_eq!(error.blame(), schemas::Blame::User, "{error}");
        let text = format!("{error} {error:?}");
        assert!(text.contains(words), "{text}");
        for secret in [tests::PASSWORD, "wrong-8f3"] {
            assert!(!text.contains(secret), "{text}");
        }
    }
    let named = trusted.replace("127.0.0.1", "localhost");
    open(&named, MetadataOptions::default()).await.unwrap();
    // Apart, and not in the address.
    let bare = url.replace(&format!(":{}@", tests::PASSWORD), "@");
    let options = MetadataOptions {
        password: Some(tests::PASSWORD.to_string()),
        ..MetadataOptions::default()
    };
    open(&bare, options).await.unwrap();
}
