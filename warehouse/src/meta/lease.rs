//! Leases: who holds something for itself, such as the tables of a connection for writing.
//!
//! A lease is a row that its holder renews. A holder that was killed loses it at once when its process
//! is known to have ended, else when it expires.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::Row as _;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::db::{Db, Kind};
use super::run::this_process;
use super::{MetaDb, to_instant, to_text};
use crate::{Error, Result};

/// How long a lease lasts that is not renewed, and how often it is.
const SQLITE: Times = Times {
    life: Duration::from_secs(60),
    renewal: Duration::from_secs(10),
    look: Duration::from_millis(50),
};
/// The same in a database that may be gone for a minute without anybody losing what he holds.
const POSTGRES: Times = Times {
    life: Duration::from_secs(90),
    renewal: Duration::from_secs(10),
    look: Duration::from_millis(200),
};

/// Tokens of the leases that this process holds. A row of this process without one of them is left over
/// from an earlier process with the same number, as in a container that was started again.
static HELD: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());

#[derive(Debug, Clone, Copy)]
struct Times {
    life: Duration,
    renewal: Duration,
    /// How often one who waits looks again.
    look: Duration,
}

impl Times {
    fn expiry(self, now: DateTime<Utc>) -> String {
        to_text(now + TimeDelta::from_std(self.life).unwrap_or(TimeDelta::MAX))
    }
}

/// Something held alone until it is released or dropped.
#[derive(Debug)]
pub struct Lease {
    meta: MetaDb,
    name: String,
    token: String,
    lost: watch::Receiver<bool>,
    renewal: JoinHandle<()>,
    released: bool,
}

/// Who holds a lease.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Holder {
    token: String,
    purpose: String,
    process: String,
    taken_at: DateTime<Utc>,
    expires_at: DateTime<Utc>,
}

/// A token that is about to be written. Dropped without being kept, it is no lease of this process.
#[derive(Debug)]
struct Claim {
    token: String,
}

impl Claim {
    fn new() -> Self {
        let token = uuid::Uuid::now_v7().to_string();
        held().insert(token.clone());
        Self { token }
    }

    fn keep(mut self) -> String {
        std::mem::take(&mut self.token)
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        if !self.token.is_empty() {
            held().remove(&self.token);
        }
    }
}

/// What time it is where the leases are: the clocks of several machines may differ.
async fn clock(pool: &Db) -> Result<DateTime<Utc>, sqlx::Error> {
    if pool.kind() == Kind::Sqlite {
        return Ok(Utc::now());
    }
    let row = sqlx::query(
        "select cast(extract(epoch from clock_timestamp()) * 1000000 as bigint) as now",
    )
    .fetch_one(pool)
    .await?;
    Ok(DateTime::from_timestamp_micros(row.try_get("now")?).unwrap_or_default())
}

impl MetaDb {
    /// Takes a lease, and waits for it if need be. An error names who holds it.
    pub async fn lease(&self, name: &str, purpose: &str, wait: Duration) -> Result<Lease> {
        let until = Instant::now() + wait;
        let times = match self.pool.kind() {
            Kind::Sqlite => SQLITE,
            Kind::Postgres => POSTGRES,
        };
        loop {
            let holder = match self.try_lease(name, purpose, times).await? {
                Ok(lease) => return Ok(lease),
                Err(holder) => holder,
            };
            if Instant::now() >= until {
                return Err(Error::Held {
                    name: name.to_string(),
                    purpose: holder.purpose,
                    process: holder.process,
                    since: to_text(holder.taken_at),
                });
            }
            tokio::time::sleep(times.look).await;
        }
    }

    async fn try_lease(
        &self,
        name: &str,
        purpose: &str,
        times: Times,
    ) -> Result<Result<Lease, Holder>> {
        let failed = || Error::meta("taking a lease");
        let begun = Instant::now();
        let now = clock(&self.pool).await.map_err(failed())?;
        // Held before it is written, so that no other task of this process takes it for left over.
        let claim = Claim::new();
        let token = claim.token.as_str();
        let taken = sqlx::query(
            "insert into leases (name, token, purpose, process, taken_at, expires_at)
             values ($1, $2, $3, $4, $5, $6) on conflict (name) do nothing",
        )
        .bind(name)
        .bind(token)
        .bind(purpose)
        .bind(this_process())
        .bind(to_text(now))
        .bind(times.expiry(now))
        .execute(&self.pool)
        .await
        .map_err(failed())?;
        if taken.rows_affected() == 1 {
            return Ok(Ok(self.held_lease(name, claim, times, begun)));
        }
        let holder = match self.holder(name).await? {
            Some(holder) if self.has_gone(&holder, now) => holder,
            Some(holder) => return Ok(Err(holder)),
            // Released in between; the next look takes it.
            None => return Ok(Err(Holder::unknown(now))),
        };
        let taken = sqlx::query(
            "update leases set token = $1, purpose = $2, process = $3, taken_at = $4, expires_at = $5
             where name = $6 and token = $7",
        )
        .bind(token)
        .bind(purpose)
        .bind(this_process())
        .bind(to_text(now))
        .bind(times.expiry(now))
        .bind(name)
        .bind(&holder.token)
        .execute(&self.pool)
        .await
        .map_err(failed())?;
        if taken.rows_affected() == 1 {
            tracing::warn!(
                name,
                purpose = holder.purpose,
                process = holder.process,
                "a lease whose holder has ended was taken over"
            );
            return Ok(Ok(self.held_lease(name, claim, times, begun)));
        }
        Ok(Err(holder))
    }

    async fn holder(&self, name: &str) -> Result<Option<Holder>> {
        let failed = || Error::meta("reading a lease");
        let row = sqlx::query(
            "select token, purpose, process, taken_at, expires_at from leases where name = $1",
        )
        .bind(name)
        .fetch_optional(&self.pool)
        .await
        .map_err(failed())?;
        let Some(row) = row else { return Ok(None) };
        let text = |column: &str| row.try_get::<String, _>(column).map_err(failed());
        Ok(Some(Holder {
            token: text("token")?,
            purpose: text("purpose")?,
            process: text("process")?,
            taken_at: to_instant(&text("taken_at")?),
            expires_at: to_instant(&text("expires_at")?),
        }))
    }

    /// Whether nobody holds a lease any more.
    fn has_gone(&self, holder: &Holder, now: DateTime<Utc>) -> bool {
        let is_left_over = holder.process == this_process() && !held().contains(&holder.token);
        holder.expires_at < now || is_left_over || self.is_over(&holder.process)
    }

    fn held_lease(&self, name: &str, claim: Claim, times: Times, begun: Instant) -> Lease {
        let token = claim.keep();
        let (tell, lost) = watch::channel(false);
        let (meta, of, by) = (self.clone(), name.to_string(), token.clone());
        let renewal = tokio::spawn(renew(meta, of, by, times, begun, tell));
        Lease {
            meta: self.clone(),
            name: name.to_string(),
            token,
            lost,
            renewal,
            released: false,
        }
    }

    async fn give_up(&self, name: &str, token: &str) -> Result<()> {
        held().remove(token);
        sqlx::query("delete from leases where name = $1 and token = $2")
            .bind(name)
            .bind(token)
            .execute(&self.pool)
            .await
            .map_err(Error::meta("releasing a lease"))?;
        Ok(())
    }
}

impl Holder {
    fn unknown(now: DateTime<Utc>) -> Self {
        Self {
            token: String::new(),
            purpose: "another command".to_string(),
            process: "unknown".to_string(),
            taken_at: now,
            expires_at: now,
        }
    }
}

impl Lease {
    /// Ends when the lease is lost: this process could not renew it, and another may have taken it.
    pub async fn lost(&self) {
        let mut lost = self.lost.clone();
        // The sender lives as long as the renewal, which ends with the lease.
        drop(lost.wait_for(|lost| *lost).await);
    }

    /// Does some work, and stops it when the lease is lost.
    pub async fn hold<T, E: From<Error>>(
        &self,
        work: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        tokio::select! {
            outcome = work => outcome,
            () = self.lost() => Err(Error::LeaseLost(self.name.clone()).into()),
        }
    }

    /// Gives it back.
    pub async fn release(mut self) -> Result<()> {
        self.released = true;
        self.renewal.abort();
        self.meta.give_up(&self.name, &self.token).await
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if self.released {
            return;
        }
        self.renewal.abort();
        held().remove(&self.token);
        let (meta, name) = (self.meta.clone(), std::mem::take(&mut self.name));
        let token = std::mem::take(&mut self.token);
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                if let Err(error) = meta.give_up(&name, &token).await {
                    tracing::warn!(%error, name, "a lease is left to expire");
                }
            });
        }
    }
}

/// Renews a lease for as long as it is this one; tells when it no longer is.
async fn renew(
    meta: MetaDb,
    name: String,
    token: String,
    times: Times,
    begun: Instant,
    tell: watch::Sender<bool>,
) {
    let mut good_until = begun + times.life;
    loop {
        tokio::time::sleep(times.renewal).await;
        let begun = Instant::now();
        let renewal = async {
            let expiry = times.expiry(clock(&meta.pool).await?);
            sqlx::query("update leases set expires_at = $1 where name = $2 and token = $3")
                .bind(expiry)
                .bind(&name)
                .bind(&token)
                .execute(&meta.pool)
                .await
        };
        // However long the database is silent, the end of the lease is not overslept.
        let renewed = match tokio::time::timeout_at(good_until, renewal).await {
            Ok(renewed) => renewed,
            Err(_) => break,
        };
        match renewed {
            Ok(renewed) if renewed.rows_affected() == 1 => good_until = begun + times.life,
            Ok(_) => break,
            Err(error) if Instant::now() < good_until => {
                tracing::warn!(%error, name, "a lease could not be renewed; trying again");
            }
            Err(_) => break,
        }
    }
    tracing::error!(name, "a lease was lost");
    tell.send_replace(true);
}

fn held() -> std::sync::MutexGuard<'static, BTreeSet<String>> {
    HELD.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::meta::MetadataOptions;

    async fn meta() -> (MetaDb, tempfile::TempDir) {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}/meta.db", folder.path().display());
        let options = MetadataOptions::default();
        (MetaDb::open(&url, None, &options).await.unwrap(), folder)
    }

    async fn write(meta: &MetaDb, process: &str, life: TimeDelta) {
        sqlx::query("insert or replace into leases values ('a', 'theirs', 'sync', $1, $2, $3)")
            .bind(process)
            .bind(to_text(Utc::now()))
            .bind(to_text(Utc::now() + life))
            .execute(&meta.pool)
            .await
            .unwrap();
    }

    #[tokio::test]
    async fn one_holds_it_and_the_other_is_told_who() {
        let (meta, _folder) = meta().await;
        let lease = meta.lease("a", "sync", Duration::ZERO).await.unwrap();
        let error = meta.lease("a", "work", Duration::ZERO).await.unwrap_err();
        let text = error.to_string();
        assert!(
            text.contains("'sync'") && text.contains(&this_process()),
            "{text}"
        );
        drop(meta.lease("b", "sync", Duration::ZERO).await.unwrap());
        let waiting = tokio::spawn({
            let meta = meta.clone();
            async move { meta.lease("a", "work", Duration::from_secs(20)).await }
        });
        tokio::time::sleep(SQLITE.look * 2).await;
        assert!(!waiting.is_finished());
        lease.release().await.unwrap();
        let lease = waiting.await.unwrap().unwrap();
        // Dropping gives it back too.
        drop(lease);
        meta.lease("a", "sync", Duration::from_secs(5))
            .await
            .unwrap();
    }

    #[tokio::test]
    async fn what_a_dead_or_silent_holder_had_is_taken_over() {
        let (meta, _folder) = meta().await;
        let day = TimeDelta::days(1);
        // Another machine: alive until it expires.
        write(&meta, "elsewhere:1", day).await;
        meta.lease("a", "x", Duration::ZERO).await.unwrap_err();
        write(&meta, "elsewhere:1", -day).await;
        drop(meta.lease("a", "x", Duration::ZERO).await.unwrap());
        // A process of this machine that has ended, and an earlier one with this number.
        let host = this_process().rsplit_once(':').unwrap().0.to_string();
        // One from before the container was started again: a file is one machine's.
        let earlier = host.rsplit_once('/').unwrap().0.to_string();
        for process in [
            format!("{host}:99999999"),
            this_process(),
            format!("{earlier}/00000000:1"),
        ] {
            write(&meta, &process, day).await;
            let lease = meta.lease("a", "x", Duration::ZERO).await.unwrap();
            lease.release().await.unwrap();
        }
    }

    #[tokio::test]
    async fn work_stops_when_the_lease_is_another_s() {
        let (meta, _folder) = meta().await;
        let times = Times {
            life: Duration::from_secs(5),
            renewal: Duration::from_millis(50),
            ..SQLITE
        };
        let lease = meta.try_lease("a", "sync", times).await.unwrap().unwrap();
        // Renewed in time, it stays.
        let work = async {
            tokio::time::sleep(Duration::from_millis(200)).await;
            Ok::<_, Error>(7)
        };
        assert_eq!(lease.hold(work).await.unwrap(), 7);
        write(&meta, "elsewhere:1", TimeDelta::days(1)).await;
        let work = std::future::pending::<Result<()>>();
        let error = lease.hold(work).await.unwrap_err();
        assert!(matches!(error, Error::LeaseLost(_)), "{error}");
        // It is not taken from the new holder.
        lease.release().await.unwrap();
        meta.lease("a", "x", Duration::ZERO).await.unwrap_err();
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_lease_outlives_a_server_that_is_gone_for_less_than_its_life() {
        let cluster = ::tests::Cluster::start();
        let options = MetadataOptions::default();
        let meta = MetaDb::open(&cluster.database(), None, &options).await;
        let meta = meta.unwrap();
        let times = Times {
            life: Duration::from_secs(6),
            renewal: Duration::from_millis(100),
            ..POSTGRES
        };
        let lease = meta.try_lease("a", "sync", times).await.unwrap().unwrap();
        let work = async {
            tokio::time::sleep(Duration::from_millis(300)).await;
            cluster.stop();
            tokio::time::sleep(Duration::from_secs(1)).await;
            cluster.resume();
            // Long enough for it to have expired without being renewed.
            tokio::time::sleep(Duration::from_secs(6)).await;
            Ok::<_, Error>(())
        };
        lease.hold(work).await.unwrap();
        let other = meta.try_lease("a", "work", times).await.unwrap();
        assert!(other.is_err(), "it is held");
        // Gone for longer, it is lost, whether or not the server says so.
        cluster.stop();
        let begun = Instant::now();
        let work = std::future::pending::<Result<()>>();
        let error = lease.hold(work).await.unwrap_err();
        assert!(matches!(error, Error::LeaseLost(_)), "{error}");
        assert!(begun.elapsed() < times.life + Duration::from_secs(2));
    }
}
