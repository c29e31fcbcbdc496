//! The key that stored secrets are encrypted with: from the environment, else from a file.

use std::fs;
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use warehouse::SecretKey;

use super::SettingsError;

/// Variable that holds the key.
pub(super) const VARIABLE: &str = "SPRINT_REPORTS_KEY";

/// The key of the environment, else of the file; one is made there when it is needed.
pub(super) fn find(
    variable: Option<String>,
    path: &Path,
    is_needed: bool,
) -> Result<Option<SecretKey>, SettingsError> {
    let parse = |text: &str, place: &str| {
        SecretKey::parse(text).ok_or_else(|| {
            SettingsError(format!(
                "{place} holds no key; write 64 hexadecimal digits, as `openssl rand -hex 32` gives them"
            ))
        })
    };
    if let Some(text) = variable {
        return parse(&text, VARIABLE).map(Some);
    }
    if is_needed {
        make_key(path)?;
    }
    match fs::read_to_string(path) {
        Ok(text) => parse(&text, &format!("key file {}", path.display())).map(Some),
        // A user who may not read the key can still do what needs none.
        Err(_) if !is_needed => Ok(None),
        Err(error) => Err(failed("reading", path, &error)),
    }
}

/// Creates the key file, readable by its owner only; an existing one stays.
pub(crate) fn make_key(path: &Path) -> Result<(), SettingsError> {
    if path.exists() {
        return Ok(());
    }
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    fs::create_dir_all(folder).map_err(|error| failed("creating the folder of", path, &error))?;
    let key = SecretKey::random().map_err(|error| SettingsError(error.to_string()))?;
    // Written whole under another name first: a key that is cut short would lock everything out.
    let draft = path.with_extension(format!("{}.new", std::process::id()));
    let written = (|| {
        write_private(&draft, &key)?;
        // A link fails where another process was faster; its key stays.
        match fs::hard_link(&draft, path) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
            linked => linked,
        }
    })();
    let removed = fs::remove_file(&draft);
    written
        .and(removed)
        .map_err(|error| failed("creating", path, &error))
}

/// Puts another key into the file; killed in between, it holds the one or the other.
pub(crate) fn write_key(path: &Path, key: &SecretKey) -> Result<(), SettingsError> {
    let draft = path.with_extension(format!("{}.new", std::process::id()));
    let written = (|| {
        write_private(&draft, key)?;
        fs::rename(&draft, path)?;
        // The name is on the disk as well.
        let folder = path
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty());
        fs::File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
    })();
    written.map_err(|error| failed("writing", path, &error))
}

/// Writes a key into a file that its owner only can read; it is on the disk then.
fn write_private(path: &Path, key: &SecretKey) -> std::io::Result<()> {
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)?;
    writeln!(file, "{}", key.reveal())?;
    file.sync_all()
}

fn failed(action: &str, path: &Path, error: &std::io::Error) -> SettingsError {
    SettingsError(format!(
        "{action} key file {}: {error}; set metadata.key_file, or {VARIABLE}",
        path.display()
    ))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn the_key_is_made_once_and_private() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("data/key");
        assert_eq!(find(None, &path, false).unwrap(), None);
        assert!(!path.exists());
        let folder_instead = folder.path();
        assert_eq!(find(None, folder_instead, false).unwrap(), None);
        assert!(find(None, folder_instead, true).is_err());
        let key = find(None, &path, true).unwrap().unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap().trim(), key.reveal());
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
        for is_needed in [false, true] {
            assert_eq!(find(None, &path, is_needed).unwrap().unwrap(), key);
        }
    }

    #[test]
    fn the_environment_wins_and_what_is_no_key_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        make_key(&path).unwrap();
        let text = "ab".repeat(32);
        let key = find(Some(text.clone()), &path, true).unwrap().unwrap();
        assert_eq!(key.reveal(), text);
        let error = find(Some("abc".into()), &path, false).unwrap_err().0;
        assert!(
            error.starts_with("SPRINT_REPORTS_KEY holds no key"),
            "{error}"
        );
        assert!(!error.contains("abc"), "{error}");
        fs::write(&path, "hunter2").unwrap();
        let error = find(None, &path, false).unwrap_err().0;
        assert!(error.contains("holds no key; write 64"), "{error}");
        assert!(!error.contains("hunter2"), "{error}");
    }
}
