//! Forgetting what nobody asks for any more.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use sqlx::Row as _;

use super::{MetaDb, to_text};
use crate::{Error, Result};

impl MetaDb {
    /// Runs that ended before an instant and are not among those to keep.
    pub(crate) async fn old_runs(
        &self,
        before: DateTime<Utc>,
        keep: &BTreeSet<String>,
    ) -> Result<Vec<String>> {
        let failed = || Error::meta("looking for old runs");
        let rows = sqlx::query(
            "select run_id from runs where status <> 'running' and finished_at < $1 order by run_id",
        )
        .bind(to_text(before))
        .fetch_all(&self.pool)
        .await
        .map_err(failed())?;
        let mut old = Vec::new();
        for row in rows {
            let run_id: String = row.try_get("run_id").map_err(failed())?;
            if !keep.contains(&run_id) {
                old.push(run_id);
            }
        }
        Ok(old)
    }

    /// Forgets runs and their steps.
    pub(crate) async fn forget_runs(&self, runs: &[String]) -> Result<()> {
        let failed = || Error::meta("forgetting old runs");
        // Not all in one transaction: others write meanwhile.
        for some in runs.chunks(200) {
            let mut all = self.pool.begin().await.map_err(failed())?;
            for run_id in some {
                for statement in [
                    "delete from steps where run_id = $1",
                    "delete from jobs where run_id = $1",
                    "delete from runs where run_id = $1",
                ] {
                    sqlx::query(statement)
                        .bind(run_id)
                        .execute(&mut *all)
                        .await
                        .map_err(failed())?;
                }
            }
            all.commit().await.map_err(failed())?;
        }
        Ok(())
    }

    /// Events that were worked off before an instant.
    pub(crate) async fn old_events(&self, before: DateTime<Utc>) -> Result<u64> {
        let failed = || Error::meta("counting old events");
        let row = sqlx::query(
            "select count(*) as n from inbox where state = 'done' and finished_at < $1",
        )
        .bind(to_text(before))
        .fetch_one(&self.pool)
        .await
        .map_err(failed())?;
        let count: i64 = row.try_get("n").map_err(failed())?;
        Ok(u64::try_from(count).unwrap_or_default())
    }
}
