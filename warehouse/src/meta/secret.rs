//! Secrets that sources hand out and that must outlive a run, encrypted.

use std::fmt;

use chrono::Utc;
use sqlx::Row as _;

use super::{MetaDb, to_text};
use crate::{Error, Result, SecretKey};

/// Where a secret belongs, and from which setting it comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SecretPlace<'a> {
    /// Connection that it signs in.
    pub connection: &'a str,
    /// What it is.
    pub name: &'a str,
    /// Tells the setting that it comes from; a secret of another origin is out of date.
    pub origin: &'a str,
}

impl SecretPlace<'_> {
    /// What the secret is encrypted for: it opens in no other place.
    fn sealed_for(self) -> String {
        format!("{}\n{}\n{}", self.connection, self.name, self.origin)
    }
}

impl fmt::Display for SecretPlace<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the {} of connection '{}'", self.name, self.connection)
    }
}

impl MetaDb {
    /// A secret; `None` when there is none of this origin.
    pub async fn secret(&self, place: SecretPlace<'_>) -> Result<Option<String>> {
        let failed = || Error::meta("reading a secret");
        let row = sqlx::query(
            "select key_id, sealed from secrets where connection = $1 and name = $2 and origin = $3",
        )
        .bind(place.connection)
        .bind(place.name)
        .bind(place.origin)
        .fetch_optional(&self.pool)
        .await
        .map_err(failed())?;
        let Some(row) = row else {
            return Ok(None);
        };
        let sealed: Vec<u8> = row.try_get("sealed").map_err(failed())?;
        let written_with: String = row.try_get("key_id").map_err(failed())?;
        let key = self.secret_key(place)?;
        match key.open(&place.sealed_for(), &sealed) {
            Some(text) => Ok(Some(text)),
            None => Err(Error::WrongKey {
                what: place.to_string(),
                written_with,
                given: key.id(),
            }),
        }
    }

    /// Keeps a secret instead of the one in its place. It is on the disk when this returns.
    pub async fn keep_secret(&self, place: SecretPlace<'_>, text: &str) -> Result<()> {
        let key = self.secret_key(place)?;
        let sealed = key.seal(&place.sealed_for(), text)?;
        sqlx::query(
            "insert into secrets (connection, name, origin, key_id, sealed, written_at)
             values ($1, $2, $3, $4, $5, $6)
             on conflict (connection, name) do update set origin = excluded.origin,
             key_id = excluded.key_id, sealed = excluded.sealed, written_at = excluded.written_at",
        )
        .bind(place.connection)
        .bind(place.name)
        .bind(place.origin)
        .bind(key.id())
        .bind(sealed)
        .bind(to_text(Utc::now()))
        .execute(&self.durable)
        .await
        .map_err(Error::meta("keeping a secret"))?;
        Ok(())
    }

    /// Encrypts all secrets with the present key that were with older ones; says how many. They are on the disk
    /// when this returns.
    pub async fn rotate_secrets(&self) -> Result<u64> {
        let failed = || Error::meta("encrypting the secrets anew");
        let mut rotated = 0;
        let rows = sqlx::query("select connection, name, origin, key_id, sealed from secrets")
            .fetch_all(&self.durable)
            .await
            .map_err(failed())?;
        for row in rows {
            let text = |column: &str| row.try_get::<String, _>(column).map_err(failed());
            let (connection, name, origin) = (text("connection")?, text("name")?, text("origin")?);
            let place = SecretPlace {
                connection: &connection,
                name: &name,
                origin: &origin,
            };
            let key = self.secret_key(place)?;
            let written_with = text("key_id")?;
            if written_with == key.id() {
                continue;
            }
            let sealed: Vec<u8> = row.try_get("sealed").map_err(failed())?;
            let plain = key.open(&place.sealed_for(), &sealed);
            let plain = plain.ok_or_else(|| Error::WrongKey {
                what: place.to_string(),
                written_with,
                given: key.id(),
            })?;
            // One that was written meanwhile is written with the present key.
            let written = sqlx::query(
                "update secrets set key_id = $1, sealed = $2
                 where connection = $3 and name = $4 and origin = $5 and sealed = $6",
            )
            .bind(key.id())
            .bind(key.seal(&place.sealed_for(), &plain)?)
            .bind(place.connection)
            .bind(place.name)
            .bind(place.origin)
            .bind(sealed)
            .execute(&self.durable)
            .await
            .map_err(failed())?;
            rotated += written.rows_affected();
        }
        Ok(rotated)
    }

    fn secret_key(&self, place: SecretPlace<'_>) -> Result<&SecretKey> {
        self.key.as_ref().ok_or_else(|| Error::NoKey {
            what: place.to_string(),
        })
    }
}
