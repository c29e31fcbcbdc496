//! The object store behind the lake, chosen by URL.

mod s3;

use std::path::{Path as FilePath, PathBuf};
use std::sync::Arc;

use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload};
use schemas::TableName;
use url::Url;

use crate::{Error, Result};

/// Credentials and endpoints of a store, by the names of its tools (`AWS_REGION`, …). Shown without
/// their values.
#[derive(Clone, Default)]
pub struct StoreOptions(Vec<(String, String)>);

impl StoreOptions {
    /// Options by name.
    pub fn new(options: impl IntoIterator<Item = (String, String)>) -> Self {
        Self(options.into_iter().collect())
    }

    fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (&**name, &**value))
    }
}

impl std::fmt::Debug for StoreOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set()
            .entries(self.iter().map(|(name, _)| name))
            .finish()
    }
}

/// The object store behind the lake. All paths are built here and nowhere else.
#[derive(Debug, Clone)]
pub struct Store {
    root: Arc<dyn ObjectStore>,
    /// Address of the lake's folder, with a trailing slash.
    base: Url,
    /// Path of the lake's folder within `root`.
    prefix: Path,
}

impl Store {
    /// Opens the store that a URL names.
    pub async fn open(url: &str, options: &StoreOptions) -> Result<Self> {
        let refuse = |reason: String| Error::StoreUrl {
            url: url.to_string(),
            reason,
        };
        let (root, base, prefix) = match url.split_once(':') {
            Some(("file", path)) => local(path).map_err(refuse)?,
            Some(("s3", _)) => s3::open(url, options).await?,
            _ => {
                return Err(refuse(
                    "write file:PATH or s3://BUCKET/PREFIX; other stores are not built into this version"
                        .to_string(),
                ));
            }
        };
        Ok(Self { root, base, prefix })
    }

    /// The store, rooted above the lake.
    pub(crate) fn root(&self) -> Arc<dyn ObjectStore> {
        Arc::clone(&self.root)
    }

    /// Address of a Delta table.
    pub(crate) fn table_url(&self, table: &TableName) -> Result<Url> {
        let path = format!("tables/{}/{}/", table.schema, table.name);
        self.base.join(&path).map_err(|error| Error::StoreUrl {
            url: self.base.to_string(),
            reason: error.to_string(),
        })
    }

    /// Folder of all Delta tables.
    pub(crate) fn tables_root(&self) -> Path {
        self.prefix.clone().join("tables")
    }

    /// Folder of a Delta table.
    pub(crate) fn table_dir(&self, table: &TableName) -> Path {
        let root = self.tables_root();
        root.join(table.schema.as_str()).join(table.name.as_str())
    }

    /// Folder of the log of a Delta table.
    pub(crate) fn log_dir(&self, table: &TableName) -> Path {
        self.table_dir(table).join("_delta_log")
    }

    /// The lake's folder.
    pub(crate) fn lake_root(&self) -> &Path {
        &self.prefix
    }

    /// Folder of the raw files of a stream.
    pub(crate) fn raw_dir(&self, connection: &str, stream: &str) -> Path {
        self.prefix
            .clone()
            .join("raw")
            .join(connection)
            .join(stream)
    }

    /// Folder of all raw files.
    pub(crate) fn raw_root(&self) -> Path {
        self.prefix.clone().join("raw")
    }

    /// Folder of the releases.
    pub(crate) fn releases_dir(&self) -> Path {
        self.prefix.clone().join("releases")
    }

    /// Writes a file that must not exist yet; `false` when it does.
    pub(crate) async fn create(&self, path: &Path, bytes: Vec<u8>) -> Result<bool> {
        let options = PutOptions::from(PutMode::Create);
        match self
            .root
            .put_opts(path, PutPayload::from(bytes), options)
            .await
        {
            Ok(_) => Ok(true),
            Err(object_store::Error::AlreadyExists { .. }) => Ok(false),
            Err(error) => Err(Error::store(format!("writing {path}"), error)),
        }
    }

    /// Reads a whole file.
    pub(crate) async fn read(&self, path: &Path) -> Result<bytes::Bytes> {
        let failed = |error| Error::store(format!("reading {path}"), error);
        self.root
            .get(path)
            .await
            .map_err(failed)?
            .bytes()
            .await
            .map_err(failed)
    }

    /// Reads a whole file; `None` when it does not exist.
    pub(crate) async fn read_if_there(&self, path: &Path) -> Result<Option<bytes::Bytes>> {
        match self.read(path).await {
            Ok(bytes) => Ok(Some(bytes)),
            Err(Error::Store {
                source: object_store::Error::NotFound { .. },
                ..
            }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Writes a file, over one that is there.
    pub(crate) async fn overwrite(&self, path: &Path, bytes: impl Into<PutPayload>) -> Result<()> {
        let written = self.root.put(path, bytes.into()).await;
        written.map_err(|error| Error::store(format!("writing {path}"), error))?;
        Ok(())
    }

    /// Deletes a file; one that is gone already is no error.
    pub(crate) async fn delete(&self, path: &Path) -> Result<()> {
        match self.root.delete(path).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(Error::store(format!("deleting {path}"), error)),
        }
    }

    /// Names of the folders in a folder, sorted.
    pub(crate) async fn folders(&self, folder: &Path) -> Result<Vec<String>> {
        let found = self.root.list_with_delimiter(Some(folder)).await;
        let found = found.map_err(|error| Error::store(format!("listing {folder}"), error))?;
        let mut names: Vec<String> = found
            .common_prefixes
            .iter()
            .filter_map(|path| path.filename().map(str::to_string))
            .collect();
        names.sort();
        Ok(names)
    }

    /// All files below a folder, sorted by path.
    pub(crate) async fn files(&self, folder: &Path) -> Result<Vec<ObjectMeta>> {
        use futures::TryStreamExt;
        let found = self.root.list(Some(folder)).try_collect().await;
        let mut files: Vec<ObjectMeta> =
            found.map_err(|error| Error::store(format!("listing {folder}"), error))?;
        files.sort_by(|one, other| one.location.cmp(&other.location));
        Ok(files)
    }

    /// Paths and sizes of all files below a folder, sorted.
    pub(crate) async fn list(&self, folder: &Path) -> Result<Vec<(Path, u64)>> {
        let files = self.files(folder).await?.into_iter();
        Ok(files.map(|meta| (meta.location, meta.size)).collect())
    }
}

/// A folder of this machine.
fn local(path: &str) -> Result<(Arc<dyn ObjectStore>, Url, Path), String> {
    let folder = FilePath::new(path.strip_prefix("//").unwrap_or(path));
    std::fs::create_dir_all(folder).map_err(|error| format!("can't create the folder: {error}"))?;
    let folder: PathBuf = folder
        .canonicalize()
        .map_err(|error| format!("can't open the folder: {error}"))?;
    let base =
        Url::from_directory_path(&folder).map_err(|()| "the path is not absolute".to_string())?;
    let prefix = Path::from_absolute_path(&folder).map_err(|error| error.to_string())?;
    Ok((Arc::new(LocalFileSystem::new()), base, prefix))
}
