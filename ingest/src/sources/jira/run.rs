//! One sync of a Jira site, in order: greet, listings, mapping, issues.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

use chrono::{DateTime, Utc};
use futures::future::BoxFuture;
use schemas::TableName;
use warehouse::{Commit, Source, Warehouse};

use super::api::Api;
use super::chosen;
use super::context::{self, Context};
use super::details::{Details, step};
use super::fields::{Roles, boards_of, fields_of};
use super::greet::greet;
use super::jql::Scope;
use super::streams::children::Family;
use super::streams::fetch::Listing;
use super::streams::issues::{Reader, mark, mark_name};
use super::streams::listings::{self, Fetched, Stored};
use super::streams::people::People;
use super::streams::sweep;
use super::streams::{
    BOARDS, CHANGELOGS, COMPONENTS, FIELDS, ISSUES, PROJECTS, REMOTE_LINKS, SPRINT_REPORTS,
    Selection, WORKLOGS, again, reference, remote_links, sprint_reports, worklogs,
};
use super::{replay, rows};
use crate::http::{Client, Counters, counted};
use crate::land::{Landing, Received};
use crate::{
    Connection, Dropped, Event, Note, Progress, Result, StreamReport, SyncOptions, SyncReport,
};

/// How far back updates are read again when a sweep is due: a day, and half a day for an index that
/// shows an update late.
const TRAILING: Duration = Duration::from_secs(36 * 3600);

/// A sync that is under way.
pub(super) struct Sync<'a> {
    pub(super) warehouse: &'a Warehouse,
    pub(super) connection: &'a Connection,
    pub(super) options: &'a SyncOptions,
    pub(super) run_id: &'a str,
    pub(super) progress: &'a dyn Progress,
    pub(super) api: Api<'a>,
    pub(super) landing: Landing<'a>,
    pub(super) reports: Vec<StreamReport>,
    pub(super) notes: Vec<Note>,
    /// Of a sweep, if there was one.
    pub(super) dropped: Option<Vec<Dropped>>,
    /// What the step under way has to say beside its numbers.
    pub(super) details: Details,
    pub(super) people: People,
    /// Records of listings that name people.
    pub(super) leading: Vec<Received>,
    /// Worklogs of issues that came into sight.
    pub(super) sighted: StreamReport,
}

/// A step that is under way.
struct Begun {
    stream: &'static str,
    started_at: DateTime<Utc>,
    reports: usize,
    notes: usize,
}

/// Reads what is new of a site.
pub(crate) async fn sync(
    warehouse: &Warehouse,
    connection: &Connection,
    options: &SyncOptions,
    run_id: &str,
    progress: &dyn Progress,
) -> Result<SyncReport> {
    let selection = Selection::of(connection, &options.streams)?;
    let mut api = Api::new(Client::connect(connection, options.limits, progress).await?);
    let greeting = greet(&mut api, connection).await?;
    progress.event(&Event::Connected {
        url: connection.url.clone(),
        site: greeting.server.title(),
    });
    if mark(warehouse, &connection.name, replay::OPEN)
        .await?
        .is_some()
    {
        tracing::warn!(
            connection = connection.name,
            "a replay was interrupted; it is finished first"
        );
        Box::pin(replay::replay(warehouse, connection, run_id, progress)).await?;
    }
    let others = [
        selection.issues,
        selection.worklogs,
        selection.sprint_reports,
    ];
    let others = others.into_iter().filter(|wanted| *wanted).count();
    progress.event(&Event::Planned {
        steps: selection.reference.len() + others,
    });
    let landing = Landing::open(warehouse, &connection.name, run_id, true).await?;
    let mut sync = Sync {
        warehouse,
        connection,
        options,
        run_id,
        progress,
        api,
        landing,
        reports: Vec::new(),
        notes: greeting.notes,
        dropped: None,
        details: Details::default(),
        people: People::new(&connection.name, run_id),
        leading: Vec::new(),
        sighted: StreamReport::of(WORKLOGS),
    };
    sync.record_site(&greeting.server.deployment_type, &greeting.time_zone)
        .await?;
    let mut fetched = sync.listings(&selection.reference).await?;
    for stream in &selection.reference {
        let Some(fetched) = fetched.remove(stream) else {
            // Its parents failed, and that error ended the run.
            continue;
        };
        let begun = Begun {
            started_at: fetched.started_at,
            ..sync.begin(stream)
        };
        let outcome = sync.write_listing(stream, fetched.listing).await;
        sync.end(begun, fetched.spent, outcome).await?;
    }
    sync.meet_leads().await?;
    if selection.issues {
        let begun = sync.begin(ISSUES);
        let (outcome, spent) = counted(sync.issues()).await;
        sync.end(begun, spent, outcome).await?;
    }
    if selection.worklogs {
        let begun = sync.begin(WORKLOGS);
        let (outcome, spent) = counted(sync.worklogs()).await;
        sync.end(begun, spent, outcome).await?;
    }
    if selection.remote_links {
        let begun = sync.begin(REMOTE_LINKS);
        let (outcome, spent) = counted(sync.remote_links()).await;
        sync.end(begun, spent, outcome).await?;
    }
    if selection.sprint_reports {
        let begun = sync.begin(SPRINT_REPORTS);
        let (outcome, spent) = counted(sync.sprint_reports()).await;
        sync.end(begun, spent, outcome).await?;
    }
    if selection.is_complete() {
        let source = Source {
            connection: connection.name.clone(),
            kind: connection.kind.clone(),
            url: connection.url.clone(),
            time_zone: greeting.time_zone.clone(),
            source_time: greeting.source_time,
            synced_at: Utc::now(),
        };
        warehouse.meta().set_source(&source).await?;
    }
    let counters = sync.api.client().counters();
    Ok(SyncReport {
        connection: connection.name.clone(),
        run_id: run_id.to_string(),
        streams: sync.reports,
        notes: sync.notes,
        dropped: sync.dropped,
        source_time: Some(greeting.source_time),
        time_zone: Some(greeting.time_zone),
        requests: counters.requests,
        retries: counters.retries,
        bytes: counters.bytes,
    })
}

impl<'a> Sync<'a> {
    /// Begins a step.
    fn begin(&self, stream: &'static str) -> Begun {
        self.progress.event(&Event::Started { stream });
        Begun {
            stream,
            started_at: Utc::now(),
            reports: self.reports.len(),
            notes: self.notes.len(),
        }
    }

    /// Records how a step went; passes its error on.
    async fn end(&mut self, begun: Begun, spent: Counters, outcome: Result<()>) -> Result<()> {
        let own = &self.reports[begun.reports.min(self.reports.len())..];
        let step = step(
            &self.connection.name,
            begun.stream,
            begun.started_at,
            own,
            spent,
            &outcome,
        );
        self.warehouse
            .meta()
            .record_step(self.run_id, &step)
            .await?;
        let details = std::mem::take(&mut self.details);
        if let Some(details) = details.with(&self.notes[begun.notes.min(self.notes.len())..]) {
            let meta = self.warehouse.meta();
            meta.detail_step(self.run_id, &step.step, &details).await?;
        }
        outcome?;
        self.progress.event(&Event::Passed);
        for report in own {
            let (records, changed) = (report.read, report.changed());
            self.progress.event(&Event::Finished {
                stream: report.stream,
                records,
                changed,
            });
        }
        Ok(())
    }

    /// Keeps the site's row: models count days in its time zone.
    async fn record_site(&self, deployment_type: &str, time_zone: &str) -> Result<()> {
        let mut row = schemas::Row::new();
        row.insert("connection".into(), self.connection.name.clone().into());
        row.insert("deployment_type".into(), deployment_type.into());
        row.insert("time_zone".into(), time_zone.into());
        let commit = Commit {
            run_id: self.run_id.to_string(),
            marks: Vec::new(),
        };
        let table = TableName::new("jira", "sites");
        self.warehouse
            .tables()
            .upsert(&table, vec![row], &commit)
            .await?;
        Ok(())
    }

    /// Reads the full listings of some streams.
    pub(super) async fn listings(
        &self,
        streams: &[&'static str],
    ) -> Result<HashMap<&'static str, Fetched>> {
        let stored = Stored {
            boards: self.ids(BOARDS, "board_id").await?,
            projects: self.ids(PROJECTS, "project_id").await?,
        };
        Ok(Box::pin(listings::all(&self.api, streams, &stored)).await)
    }

    /// Gives a row to leads of projects and components whom the listing of users lacks.
    async fn meet_leads(&mut self) -> Result<()> {
        let named = self.leading.iter().map(|record| record.payload.as_str());
        self.people.meet(self.warehouse, &self.landing, named).await
    }

    /// Asks all issues for their remote links.
    fn remote_links(&mut self) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move {
            let read = remote_links::read_all(
                self.warehouse,
                &self.api,
                &self.connection.name,
                &mut self.landing,
                self.run_id,
                self.progress,
            );
            let (report, notes) = read.await?;
            self.reports.push(report);
            self.notes.extend(notes);
            Ok(())
        })
    }

    /// Reads the reports of sprints that were closed since the last run.
    fn sprint_reports(&mut self) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move {
            let named = self.options.streams.iter();
            let mut reader = sprint_reports::Reader {
                warehouse: self.warehouse,
                api: &self.api,
                connection: &self.connection.name,
                landing: &mut self.landing,
                run_id: self.run_id,
                report: StreamReport::of(SPRINT_REPORTS),
                notes: Vec::new(),
            };
            let again = match (self.options.full, named.len() > 0) {
                (true, _) => sprint_reports::Again::All,
                (false, true) => sprint_reports::Again::Refused,
                (false, false) => sprint_reports::Again::No,
            };
            let outcome = reader.read(again).await;
            self.reports.push(reader.report);
            self.notes.extend(reader.notes);
            outcome
        })
    }

    /// Makes the tables of a stream equal to its listing.
    pub(super) fn write_listing<'s>(
        &'s mut self,
        stream: &'static str,
        listing: Result<Listing>,
    ) -> BoxFuture<'s, Result<()>> {
        Box::pin(self.write(stream, listing))
    }

    async fn write(&mut self, stream: &'static str, listing: Result<Listing>) -> Result<()> {
        let listing = listing?;
        self.notes.extend(listing.notes);
        let Some(records) = listing.records else {
            self.reports.push(StreamReport {
                offered: false,
                ..StreamReport::of(stream)
            });
            return Ok(());
        };
        if stream == PROJECTS {
            self.check_scope(&records)?;
        }
        if matches!(stream, PROJECTS | COMPONENTS) {
            self.leading.extend(records.iter().cloned());
        }
        let last = self.landing.last_listing(stream).await?;
        if let Some(last) = last.as_ref().filter(|last| last.shows(&records)) {
            let report = self.make_equal(stream, &records, last.received_at).await?;
            self.reports.push(report);
            return Ok(());
        }
        // A run that was killed may have landed the last listing and not written it. What it showed
        // belongs to the history.
        let caught_up = match &last {
            Some(last) => {
                self.make_equal(stream, &last.records, last.received_at)
                    .await?
            }
            None => StreamReport::of(stream),
        };
        let last = last.map(|last| last.received_at);
        let landing = &self.landing;
        let received_at = landing.land_listing(stream, &records, last).await?;
        warehouse::fault::point("ingest.listing.landed")?;
        let mut report = self.make_equal(stream, &records, received_at).await?;
        report.inserted += caught_up.inserted;
        report.updated += caught_up.updated;
        report.deleted += caught_up.deleted;
        self.reports.push(report);
        Ok(())
    }

    /// Makes the tables of a stream equal to a full listing.
    async fn make_equal(
        &mut self,
        stream: &'static str,
        records: &[Received],
        received_at: DateTime<Utc>,
    ) -> Result<StreamReport> {
        let commit = Commit {
            run_id: self.run_id.to_string(),
            marks: Vec::new(),
        };
        Box::pin(reference::write(
            self.warehouse,
            self.connection,
            &mut self.landing,
            &commit,
            stream,
            records,
            received_at,
        ))
        .await
    }

    /// Ids of what a table holds, in their order.
    async fn ids(&self, table: &str, column: &str) -> Result<Vec<i64>> {
        let rows = context::live(self.warehouse, self.connection, table).await?;
        let mut ids: Vec<i64> = rows
            .iter()
            .filter_map(|row| row.get(column)?.as_i64())
            .collect();
        ids.sort_unstable();
        Ok(ids)
    }

    /// Projects that the settings name must be among those the account sees.
    fn check_scope(&self, projects: &[Received]) -> Result<()> {
        let keys: Vec<_> = projects
            .iter()
            .filter_map(|record| rows::project_row("", &record.payload).ok())
            .filter_map(|mapped| mapped.row.get("project_key")?.as_str().map(str::to_string))
            .collect();
        match self.connection.projects.iter().find(|key| !keys.contains(*key)) {
            None => Ok(()),
            Some(key) => Err(self.connection.refuse(format!(
                "project '{key}' is not among those the account sees ({}); correct projects, or give the account access",
                keys.join(", ")
            ))),
        }
    }

    /// Reads issues and changelogs; maps the stored ones anew when their mapping changed.
    fn issues(&mut self) -> BoxFuture<'_, Result<()>> {
        Box::pin(self.read_issues())
    }

    async fn read_issues(&mut self) -> Result<()> {
        let context = Context::load(self.warehouse, self.connection).await?;
        let doubts = doubts(self.warehouse, self.connection, &context.roles);
        self.notes.extend(doubts.await?);
        let mapped = mark(self.warehouse, &self.connection.name, "mapping").await?;
        if mapped.is_some_and(|mapped| mapped != context.fingerprint()) {
            self.remap(&context).await?;
        }
        self.map_again(&context).await?;
        let asked = self.options.sweep;
        let due = sweep::is_due(self.warehouse, &self.connection.name, asked).await?;
        let mut reader = Reader {
            warehouse: self.warehouse,
            api: &self.api,
            context: &context,
            landing: &mut self.landing,
            progress: self.progress,
            scope: Scope {
                projects: self.connection.projects.clone(),
            },
            run_id: self.run_id,
            batch_issues: self.options.batch_issues.max(1),
            look_back: match due {
                true => self.options.look_back.max(TRAILING),
                false => self.options.look_back,
            },
            issues: StreamReport::of(ISSUES),
            changelogs: StreamReport::of(CHANGELOGS),
            family: Family::new(),
            projects: BTreeMap::new(),
            given_up: HashSet::new(),
            people: &mut self.people,
            known_until_ms: None,
            buried: None,
            sighted: StreamReport::of(WORKLOGS),
        };
        let mut outcome = Box::pin(reader.read(self.options.full)).await;
        if due && outcome.is_ok() {
            let swept = Box::pin(reader.sweep()).await;
            outcome = swept.map(|dropped| {
                self.notes.extend(dropped.iter().map(sweep::alarm));
                self.dropped = Some(dropped);
            });
        }
        self.details.projects = reader.projects;
        self.sighted = reader.sighted;
        let family = reader.family;
        let reports = [
            reader.issues,
            reader.changelogs,
            family.links,
            family.comments,
            family.remote_links,
        ];
        self.reports.extend(reports);
        outcome?;
        sweep::note(self.warehouse, &self.connection.name, self.run_id, due).await
    }

    /// Maps what an older version refused.
    async fn map_again(&mut self, context: &Context) -> Result<()> {
        let commit = Commit {
            run_id: self.run_id.to_string(),
            marks: Vec::new(),
        };
        let landing = &mut self.landing;
        let again = Box::pin(again::map(self.warehouse, context, landing, &commit));
        let (mapped, refused) = again.await?;
        if mapped > 0 {
            let text = format!(
                "{mapped} records that an older version refused were read again; {refused} stay in quarantine"
            );
            self.notes.push(Note {
                stream: ISSUES,
                text,
            });
        }
        Ok(())
    }

    /// Reads the worklogs that were written, edited or deleted.
    fn worklogs(&mut self) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move {
            let mut reader = worklogs::Reader {
                warehouse: self.warehouse,
                api: &self.api,
                landing: &mut self.landing,
                connection: &self.connection.name,
                scope: Scope {
                    projects: self.connection.projects.clone(),
                },
                run_id: self.run_id,
                look_back: self.options.look_back,
                people: &mut self.people,
                report: std::mem::replace(&mut self.sighted, StreamReport::of(WORKLOGS)),
                notes: Vec::new(),
                given_up: HashSet::new(),
            };
            let outcome = reader.read(self.options.full).await;
            self.reports.push(reader.report);
            self.notes.extend(reader.notes);
            outcome
        })
    }

    /// Maps all issues anew from the raw zone, because what their mapping depends on has changed.
    pub(super) async fn remap(&mut self, context: &Context) -> Result<()> {
        tracing::info!(connection = self.connection.name, "issues are mapped anew");
        let text =
            "fields, boards or statuses have changed; stored issues were mapped anew".to_string();
        self.notes.push(Note {
            stream: ISSUES,
            text,
        });
        let mut landing =
            Landing::open(self.warehouse, &self.connection.name, self.run_id, false).await?;
        let mut report = StreamReport::of(ISSUES);
        let run_id = self.run_id;
        let mapped = replay::issues(
            self.warehouse,
            context,
            &mut landing,
            run_id,
            &mut report,
            None,
        );
        Box::pin(mapped).await?;
        let mark = (
            mark_name(&self.connection.name, "mapping"),
            context.fingerprint(),
        );
        let commit = Commit {
            run_id: run_id.to_string(),
            marks: vec![mark],
        };
        let table = TableName::new("jira", "issues");
        self.warehouse
            .tables()
            .upsert(&table, Vec::new(), &commit)
            .await?;
        Ok(())
    }
}

/// What of the choice of fields is worth a word.
async fn doubts(
    warehouse: &Warehouse,
    connection: &Connection,
    roles: &Roles,
) -> Result<Vec<Note>> {
    let fields = fields_of(&context::live(warehouse, connection, FIELDS).await?);
    let boards = boards_of(&context::live(warehouse, connection, BOARDS).await?);
    let doubts = chosen::doubts(roles, &fields, &boards, &connection.fields);
    let notes = doubts.into_iter().map(|text| Note {
        stream: FIELDS,
        text,
    });
    Ok(notes.collect())
}
