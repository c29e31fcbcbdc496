//! Where the metadata database is, said without its password.

use std::fmt;
use std::net::IpAddr;

use url::Url;

use crate::{Error, Result};

/// What may stand behind the `?` of the address of a PostgreSQL database.
const PARAMETERS: [&str; 8] = [
    "application_name",
    "host",
    "options",
    "sslcert",
    "sslkey",
    "sslmode",
    "sslrootcert",
    "statement-cache-capacity",
];
const MODES: [&str; 6] = [
    "disable",
    "allow",
    "prefer",
    "require",
    "verify-ca",
    "verify-full",
];

/// Address of a metadata database.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Place {
    /// A file.
    Sqlite(String),
    /// A server; the address is complete, password included.
    Postgres(Box<Url>),
}

impl Place {
    /// Reads an address; a password given apart is taken where the address has none.
    pub(super) fn parse(text: &str, password: Option<&str>) -> Result<Self> {
        let refuse = |shown: &str, reason: &str| Error::MetadataUrl {
            url: shown.to_string(),
            reason: reason.to_string(),
        };
        if let Some(path) = text.strip_prefix("sqlite:") {
            let path = path.strip_prefix("//").unwrap_or(path);
            return Ok(Self::Sqlite(path.to_string()));
        }
        if !text.starts_with("postgres://") && !text.starts_with("postgresql://") {
            let scheme = text.split_once(':').map_or("", |(scheme, _)| scheme);
            let reason = "write sqlite:PATH or postgres://USER@HOST/DATABASE";
            return Err(refuse(&format!("{scheme}:…"), reason));
        }
        // What can't be read is not shown: it may be a part of the password.
        let hidden = "postgres://…";
        let encode = "a password with one of /?#@:% in it is written percent-encoded, or apart in metadata.password";
        let url =
            Url::parse(text).map_err(|error| refuse(hidden, &format!("{error}; {encode}")))?;
        if url.fragment().is_some() {
            return Err(refuse(hidden, encode));
        }
        for (name, value) in url.query_pairs() {
            let fits = match &*name {
                "sslmode" => MODES.contains(&&*value),
                "host" => value.starts_with('/'),
                name => PARAMETERS.contains(&name),
            };
            if !fits {
                let known = PARAMETERS.join(", ");
                let modes = MODES.join(", ");
                let reason = format!(
                    "behind the ? may stand {known}, with sslmode one of {modes} and host the folder of a socket; {encode}"
                );
                return Err(refuse(hidden, &reason));
            }
        }
        let mut place = Self::Postgres(Box::new(url));
        let shown = place.to_string();
        let Self::Postgres(url) = &mut place else {
            return Ok(place);
        };
        if socket(url).is_none() && url.host_str().is_none_or(str::is_empty) {
            return Err(refuse(&shown, "name the host"));
        }
        if url.path().trim_matches('/').is_empty() {
            return Err(refuse(
                &shown,
                "name the database: postgres://USER@HOST/DATABASE",
            ));
        }
        if url.username().is_empty() {
            return Err(refuse(
                &shown,
                "name the user: postgres://USER@HOST/DATABASE",
            ));
        }
        if let (None, Some(password)) = (url.password(), password)
            && url.set_password(Some(password)).is_err()
        {
            return Err(refuse(&shown, "an address of this kind takes no password"));
        }
        complete(url);
        Ok(place)
    }

    /// The address for the driver.
    pub(super) fn url(&self) -> String {
        match self {
            Self::Sqlite(path) => {
                let sign = if path.contains('?') { '&' } else { '?' };
                format!("sqlite:{path}{sign}mode=rwc")
            }
            Self::Postgres(url) => url.to_string(),
        }
    }

    #[cfg(test)]
    fn parameter(&self, name: &str) -> Option<String> {
        let Self::Postgres(url) = self else {
            return None;
        };
        parameter(url, name)
    }
}

/// Adds what the address leaves open.
fn complete(url: &mut Url) {
    let own = match is_here(url) {
        true => "prefer",
        false => "verify-full",
    };
    for (name, value) in [
        // Without a word on it, the server has to show a certificate for its name.
        ("sslmode", own),
        ("application_name", "sprint-reports"),
        // What a start would say each time: that a table is already there.
        ("options[client_min_messages]", "warning"),
    ] {
        if parameter(url, name).is_none() {
            url.query_pairs_mut().append_pair(name, value);
        }
    }
}

fn parameter(url: &Url, name: &str) -> Option<String> {
    let mut pairs = url.query_pairs();
    let found = pairs.find(|(key, _)| key == name)?;
    Some(found.1.into_owned())
}

/// Folder of the socket, when it is one.
fn socket(url: &Url) -> Option<String> {
    let encoded = url.host_str().filter(|host| {
        let start = host.get(..3).unwrap_or_default();
        start.eq_ignore_ascii_case("%2f")
    });
    encoded
        .map(str::to_string)
        .or_else(|| parameter(url, "host"))
}

/// Whether what is sent stays on this machine.
fn is_here(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    socket(url).is_some()
        || host == "localhost"
        || bare.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(path) => write!(f, "sqlite:{path}"),
            Self::Postgres(url) => {
                write!(f, "postgres://{}@", url.username())?;
                f.write_str(url.host_str().unwrap_or_default())?;
                if let Some(port) = url.port() {
                    write!(f, ":{port}")?;
                }
                f.write_str(url.path())
            }
        }
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Place {
        Place::parse(text, None).unwrap()
    }

    #[test]
    fn the_password_is_never_shown() {
        for text in [
            "postgres://sr:hunter2@db.example.org:5433/meta?sslmode=require",
            "postgresql://sr:hunter2@db.example.org:5433/meta",
        ] {
            let place = read(text);
            assert!(place.url().contains("hunter2"));
            let shown = format!("{place} {place:?}");
            assert!(!shown.contains("hunter2"), "{shown}");
            assert_eq!(place.to_string(), "postgres://sr@db.example.org:5433/meta");
        }
        // What can't be read, is read wrongly, or is of another kind.
        for text in [
            "postgres://sr:hunter2/x@db/meta",
            "postgres://sr:12#hunter2@db/meta",
            "postgres://sr:12?hunter2@db/meta",
            "postgres://db/meta?password=hunter2",
            "postgres://sr:hunter2@db/meta?sslmode=hunter2",
            "postgres://sr:hunter2@/meta",
            "postgres://sr:hunter2@db/",
            "postgres://:hunter2@db/meta",
            "mysql://sr:hunter2@db/meta",
            "hunter2",
        ] {
            let error = Place::parse(text, None).unwrap_err();
            let shown = format!("{error} {error:?}");
            assert!(!shown.contains("hunter2"), "{shown}");
        }
    }

    #[test]
    fn another_machine_has_to_show_its_certificate() {
        let mode = |text: &str| read(text).parameter("sslmode").unwrap();
        for elsewhere in ["db.example.org", "10.0.0.7", "[2001:db8::1]"] {
            let url = format!("postgres://sr:x@{elsewhere}/meta");
            assert_eq!(mode(&url), "verify-full", "{url}");
            assert_eq!(mode(&format!("{url}?sslmode=disable")), "disable");
        }
        for here in ["localhost", "127.0.0.1", "[::1]", "%2Frun%2Fpostgresql"] {
            let url = format!("postgres://sr:x@{here}/meta");
            assert_eq!(mode(&url), "prefer", "{url}");
            assert_eq!(mode(&format!("{url}?sslmode=verify-full")), "verify-full");
        }
    }

    #[test]
    fn a_password_is_taken_from_apart_where_the_address_has_none() {
        let place = Place::parse("postgres://sr@db/meta", Some("p/w#1@ü")).unwrap();
        assert!(place.url().contains("sr:p%2Fw%231%40%C3%BC@db/meta"));
        let place = Place::parse("postgres://sr:own@db/meta", Some("other")).unwrap();
        assert!(place.url().contains("sr:own@db"));
    }
}
