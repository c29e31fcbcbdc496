//! Lakes on S3 and what speaks like it. The bucket comes from the URL; credentials, region and
//! endpoint from options by the names that all S3 tools use (`AWS_ACCESS_KEY_ID`,
//! `AWS_SECRET_ACCESS_KEY`, `AWS_REGION`, `AWS_ENDPOINT`, `AWS_ALLOW_HTTP`, …).

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use deltalake::DeltaResult;
use deltalake::logstore::{
    LogStore, LogStoreFactory, ObjectStoreRef, StorageConfig, default_logstore, logstore_factories,
};
use object_store::aws::AmazonS3Builder;
use object_store::path::Path;
use object_store::{
    BackoffConfig, ClientOptions, ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload,
    RetryConfig,
};
use url::Url;

use super::StoreOptions;
use crate::{Error, Result};

/// Longest time that a request is tried again.
const RETRY: Duration = Duration::from_secs(30);
/// Longest time of one request.
const REQUEST: Duration = Duration::from_secs(60);

/// Commits of Delta tables go through conditional writes, as on a local disk.
#[derive(Debug)]
struct ConditionalLog;

impl LogStoreFactory for ConditionalLog {
    fn with_options(
        &self,
        prefixed_store: ObjectStoreRef,
        root_store: ObjectStoreRef,
        location: &Url,
        options: &StorageConfig,
    ) -> DeltaResult<Arc<dyn LogStore>> {
        Ok(default_logstore(
            prefixed_store,
            root_store,
            location,
            options,
        ))
    }
}

static REGISTERED: LazyLock<()> = LazyLock::new(|| {
    if let Ok(scheme) = Url::parse("s3://") {
        logstore_factories().insert(scheme, Arc::new(ConditionalLog));
    }
});

/// Opens a bucket and makes sure that its conditional writes hold.
pub(super) async fn open(
    url: &str,
    options: &StoreOptions,
) -> Result<(Arc<dyn ObjectStore>, Url, Path)> {
    LazyLock::force(&REGISTERED);
    let refuse = |reason: String| Error::StoreUrl {
        url: url.to_string(),
        reason,
    };
    let base = Url::parse(&format!("{}/", url.trim_end_matches('/')))
        .map_err(|error| refuse(error.to_string()))?;
    let bucket = base
        .host_str()
        .filter(|bucket| !bucket.is_empty())
        .ok_or_else(|| refuse("write s3://BUCKET/PREFIX".to_string()))?;
    let prefix = Path::from_url_path(base.path()).map_err(|error| refuse(error.to_string()))?;
    let retry = RetryConfig {
        backoff: BackoffConfig::default(),
        max_retries: 8,
        retry_timeout: RETRY,
    };
    let mut store = AmazonS3Builder::new()
        .with_client_options(ClientOptions::new().with_timeout(REQUEST))
        .with_retry(retry);
    for (name, value) in options.iter() {
        // What the store does not know is another tool's.
        if let Ok(key) = name.to_ascii_lowercase().parse() {
            store = store.with_config(key, value);
        }
    }
    let store = store
        .with_bucket_name(bucket)
        .build()
        .map_err(|error| refuse(error.to_string()))?;
    let store: Arc<dyn ObjectStore> = Arc::new(store);
    probe(store.as_ref(), &prefix).await.map_err(refuse)?;
    Ok((store, base, prefix))
}

/// Writes a file twice on the condition that it does not exist; the second must fail. On a store
/// that ignores the condition two writers would overwrite each other's commits.
async fn probe(store: &dyn ObjectStore, prefix: &Path) -> Result<(), String> {
    let path = prefix
        .clone()
        .join("probe")
        .join(uuid::Uuid::now_v7().to_string());
    let create = || {
        let options = PutOptions::from(PutMode::Create);
        store.put_opts(&path, PutPayload::from_static(b"probe"), options)
    };
    create().await.map_err(|error| {
        format!(
            "the bucket can't be written: {error}; see AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_REGION and AWS_ENDPOINT"
        )
    })?;
    let second = create().await;
    // Left behind, it would do no harm.
    if let Err(error) = store.delete(&path).await {
        tracing::warn!(%error, "the probe of the bucket could not be deleted");
    }
    match second {
        Err(object_store::Error::AlreadyExists { .. } | object_store::Error::Precondition { .. }) => {
            Ok(())
        }
        Ok(_) => Err(
            "the bucket ignores conditional writes (If-None-Match), so that two writers could overwrite each other; use a store that honours them, such as AWS S3, MinIO AIStor, Cloudflare R2 or SeaweedFS"
                .to_string(),
        ),
        Err(error) => Err(format!("the bucket can't be probed for conditional writes: {error}")),
    }
}
