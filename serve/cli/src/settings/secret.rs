//! Secrets: written plainly, or as `env:NAME` or `file:PATH`.

use super::SettingsError;

/// The secret that a setting names.
pub(crate) fn resolve_secret(setting: &str, text: &str) -> Result<String, SettingsError> {
    if let Some(name) = text.strip_prefix("env:") {
        return std::env::var(name).map_err(|_| {
            SettingsError(format!(
                "{setting}: the environment variable {name} is not set"
            ))
        });
    }
    if let Some(path) = text.strip_prefix("file:") {
        let secret = std::fs::read_to_string(path)
            .map_err(|error| SettingsError(format!("{setting}: file {path}: {error}")))?;
        return Ok(secret.trim_end_matches(['\n', '\r']).to_string());
    }
    Ok(text.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_comes_from_where_the_setting_says() {
        assert_eq!(resolve_secret("token", "plain").unwrap(), "plain");
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        std::fs::write(&path, "from file\n").unwrap();
        let setting = format!("file:{}", path.display());
        assert_eq!(resolve_secret("token", &setting).unwrap(), "from file");
        let error =
            resolve_secret("connections.acme.token", "env:NO_SUCH_VARIABLE_HERE").unwrap_err();
        assert!(error.0.contains("NO_SUCH_VARIABLE_HERE is not set"));
    }
}
