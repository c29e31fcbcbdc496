//! Reacting to events: what they name is read again and committed. An event counts as done when the site
//! has shown what it tells of, or was asked often enough.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::time::Duration;

use futures::future::BoxFuture;
use tokio::time::Instant;
use warehouse::Warehouse;
use warehouse::meta::InboxEvent;

use super::api::{Api, WorklogChange};
use super::context::Context;
use super::details::Details;
use super::jql::Scope;
use super::run::Sync;
use super::streams::children::Family;
use super::streams::issues::{Cursor, Reader, mark};
use super::streams::named::Shown;
use super::streams::people::People;
use super::streams::{CHANGELOGS, ISSUES, REFERENCE, WORKLOGS, worklogs};
use super::webhook::{self, Change, Hints, IssueHint, Understood, WorklogHint};
use super::{Jira, replay};
use crate::http::Client;
use crate::inbox::{Events, Paces, Reaction, Refusal, Verdict};
use crate::land::Landing;
use crate::sources::Job;
use crate::{Connection, Result, StreamReport};

const MICROSECONDS: i64 = 1_000_000;

impl Events for Jira {
    fn reader(&self) -> i64 {
        webhook::READER
    }

    fn waits_for<'a>(
        &'a self,
        warehouse: &'a Warehouse,
        connection: &'a Connection,
    ) -> BoxFuture<'a, Result<Option<String>>> {
        Box::pin(waits_for(warehouse, &connection.name))
    }

    fn react<'a>(
        &'a self,
        job: Job<'a>,
        patience: &'a [Duration],
        events: &'a [InboxEvent],
        paces: &'a mut Paces,
    ) -> BoxFuture<'a, Result<Reaction>> {
        Box::pin(react(job, patience, events, paces))
    }
}

/// Mapping an issue needs the fields, boards and statuses of a first load.
async fn waits_for(warehouse: &Warehouse, connection: &str) -> Result<Option<String>> {
    if mark(warehouse, connection, replay::OPEN).await?.is_some() {
        let reason = "a replay was interrupted; run `sync --replay` or `sync`".to_string();
        return Ok(Some(reason));
    }
    let mapped = mark(warehouse, connection, "mapping").await?;
    let cursor = Cursor::load(warehouse, connection).await?;
    let is_loading = cursor.high_water_ms.is_none() && cursor.backfill_created_ms.is_some();
    Ok((mapped.is_none() || is_loading)
        .then(|| "the first load is not complete; run `sync`".to_string()))
}

/// What all events of a batch name together.
#[derive(Debug, Default)]
struct Wanted {
    issues: BTreeSet<i64>,
    deleted: HashSet<i64>,
    written_worklogs: BTreeMap<i64, i64>,
    deleted_worklogs: BTreeMap<i64, i64>,
    listings: BTreeSet<&'static str>,
}

/// What the site showed of it.
#[derive(Debug, Default)]
struct Answers {
    issues: HashMap<i64, Shown>,
    /// Worklogs that were written and are not shown, or deleted and still shown.
    other_worklogs: HashSet<i64>,
    /// Listings that were read a moment ago, with the time to wait.
    waiting: BTreeMap<&'static str, Duration>,
}

async fn react(
    job: Job<'_>,
    patience: &[Duration],
    events: &[InboxEvent],
    paces: &mut Paces,
) -> Result<Reaction> {
    let read: Vec<Result<Understood, Refusal>> = events
        .iter()
        .map(|event| webhook::understand(&event.body))
        .collect();
    let wanted = Wanted::of(
        read.iter()
            .filter_map(|one| Some(&one.as_ref().ok()?.hints)),
    );
    let (mut answers, mut reaction) = (Answers::default(), Reaction::default());
    if !wanted.is_empty() {
        let client = Client::connect(job.connection, job.options.limits, job.progress);
        let mut api = Api::new(client.await?);
        api.meet().await?;
        let name = &job.connection.name;
        let landing = Landing::open(job.warehouse, name, job.run_id, true).await?;
        let mut sync = Sync {
            warehouse: job.warehouse,
            connection: job.connection,
            options: job.options,
            run_id: job.run_id,
            progress: job.progress,
            api,
            landing,
            reports: Vec::new(),
            dropped: None,
            notes: Vec::new(),
            details: Details::default(),
            people: People::new(name, job.run_id),
            leading: Vec::new(),
            sighted: StreamReport::of(WORKLOGS),
        };
        Box::pin(sync.ask(&wanted, paces, &mut answers)).await?;
        let counters = sync.api.client().counters();
        reaction = Reaction {
            verdicts: Vec::new(),
            streams: sync.reports,
            requests: counters.requests,
            retries: counters.retries,
            bytes: counters.bytes,
        };
        for note in sync.notes {
            tracing::info!(
                connection = name,
                stream = note.stream,
                note = note.text,
                "note"
            );
        }
    }
    let verdicts = events.iter().zip(read).map(|(event, read)| match read {
        Ok(understood) => verdict(understood, event.attempts, patience, &answers),
        Err(refusal) => Verdict::Refused(refusal),
    });
    reaction.verdicts = verdicts.collect();
    Ok(reaction)
}

impl Wanted {
    fn of<'h>(hints: impl Iterator<Item = &'h Hints>) -> Self {
        let mut wanted = Self::default();
        for hints in hints {
            wanted.listings.extend(&hints.listings);
            for issue in &hints.issues {
                wanted.issues.insert(issue.issue_id);
                if issue.change == Change::Deleted {
                    wanted.deleted.insert(issue.issue_id);
                }
            }
            for worklog in &hints.worklogs {
                let of = match worklog.change {
                    Change::Deleted => &mut wanted.deleted_worklogs,
                    Change::Created | Change::Updated => &mut wanted.written_worklogs,
                };
                let at = of.entry(worklog.worklog_id).or_insert(i64::MIN);
                *at = worklog.at_ms.unwrap_or_default().max(*at);
            }
        }
        // One that is deleted is not looked for.
        let deleted = &wanted.deleted_worklogs;
        wanted
            .written_worklogs
            .retain(|id, _| !deleted.contains_key(id));
        wanted
    }

    fn is_empty(&self) -> bool {
        self.issues.is_empty()
            && self.written_worklogs.is_empty()
            && self.deleted_worklogs.is_empty()
            && self.listings.is_empty()
    }
}

impl Sync<'_> {
    /// Reads all that is wanted, listings first: the mapping of issues depends on them.
    async fn ask(
        &mut self,
        wanted: &Wanted,
        paces: &mut Paces,
        answers: &mut Answers,
    ) -> Result<()> {
        let (mut due, mut waiting) = (Vec::new(), BTreeMap::new());
        for stream in REFERENCE
            .iter()
            .filter(|one| wanted.listings.contains(*one))
        {
            match paces.wait(stream) {
                Some(wait) => drop(waiting.insert(*stream, wait)),
                None => due.push(*stream),
            }
        }
        answers.waiting = waiting;
        let begun = Instant::now();
        let mut fetched = self.listings(&due).await?;
        for stream in due {
            // One is missing only after an error of its parents, which ends the batch before.
            if let Some(fetched) = fetched.remove(stream) {
                self.write_listing(stream, fetched.listing).await?;
                paces.took(stream, begun.elapsed());
            }
        }
        let context = Context::load(self.warehouse, self.connection).await?;
        let mapped = mark(self.warehouse, &self.connection.name, "mapping").await?;
        if mapped != Some(context.fingerprint()) {
            self.remap(&context).await?;
        }
        if !wanted.issues.is_empty() {
            self.ask_issues(&context, wanted, answers).await?;
        }
        if !wanted.written_worklogs.is_empty() || !wanted.deleted_worklogs.is_empty() {
            self.ask_worklogs(wanted, answers).await?;
        }
        Ok(())
    }

    async fn ask_issues(
        &mut self,
        context: &Context,
        wanted: &Wanted,
        answers: &mut Answers,
    ) -> Result<()> {
        let mut reader = Reader {
            warehouse: self.warehouse,
            api: &self.api,
            context,
            landing: &mut self.landing,
            progress: self.progress,
            scope: Scope {
                projects: self.connection.projects.clone(),
            },
            run_id: self.run_id,
            batch_issues: self.options.batch_issues.max(1),
            look_back: self.options.look_back,
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
        let ids: Vec<i64> = wanted.issues.iter().copied().collect();
        let outcome = Box::pin(reader.read_named(&ids, &wanted.deleted)).await;
        let family = reader.family;
        self.reports.extend([
            reader.issues,
            reader.changelogs,
            reader.sighted,
            family.links,
            family.comments,
            family.remote_links,
        ]);
        answers.issues = outcome?;
        Ok(())
    }

    async fn ask_worklogs(&mut self, wanted: &Wanted, answers: &mut Answers) -> Result<()> {
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
            report: StreamReport::of(WORKLOGS),
            notes: Vec::new(),
            given_up: HashSet::new(),
        };
        let changes = |of: &BTreeMap<i64, i64>| -> Vec<WorklogChange> {
            let changes = of.iter().map(|(id, at)| WorklogChange {
                worklog_id: *id,
                updated_time: *at,
            });
            changes.collect()
        };
        let (written, deleted) = (
            changes(&wanted.written_worklogs),
            changes(&wanted.deleted_worklogs),
        );
        let outcome = Box::pin(reader.read_named(&written, &deleted)).await;
        self.reports.push(reader.report);
        answers.other_worklogs = outcome?;
        Ok(())
    }
}

/// Whether an event is done.
fn verdict(
    understood: Understood,
    attempts: u32,
    patience: &[Duration],
    answers: &Answers,
) -> Verdict {
    let hints = &understood.hints;
    let waiting = hints
        .listings
        .iter()
        .filter_map(|stream| answers.waiting.get(stream));
    if let Some(pause) = waiting.max() {
        return Verdict::Late {
            pause: *pause,
            reason: "the listing was read a moment ago".to_string(),
        };
    }
    let issues = hints
        .issues
        .iter()
        .filter_map(|hint| unlike(*hint, answers));
    let worklogs = hints
        .worklogs
        .iter()
        .filter_map(|hint| unlike_worklog(*hint, answers));
    let reason = issues.chain(worklogs).next();
    let attempts = usize::try_from(attempts).unwrap_or(usize::MAX);
    match (reason, patience.get(attempts)) {
        (Some(reason), Some(pause)) => Verdict::Late {
            pause: *pause,
            reason,
        },
        (reason, _) => Verdict::Done {
            kind: understood.kind,
            note: reason.map(|reason| format!("{reason}; given up, the next sync reads it")),
        },
    }
}

/// Why an issue is not as an event tells, if it isn't.
fn unlike(hint: IssueHint, answers: &Answers) -> Option<String> {
    let id = hint.issue_id;
    let shown = answers.issues.get(&id).copied()?;
    match (hint.change, shown) {
        (Change::Deleted, Shown::At(_) | Shown::Withheld) => {
            Some(format!("the site still shows issue {id}"))
        }
        (Change::Created, Shown::Missing) => Some(format!("the site does not show issue {id} yet")),
        (Change::Created | Change::Updated, Shown::At(Some(shown)))
            if hint.updated_us.is_some_and(|told| is_older(shown, told)) =>
        {
            Some(format!("the site shows an older state of issue {id}"))
        }
        _ => None,
    }
}

/// Some databases keep whole seconds only.
fn is_older(shown: i64, told: i64) -> bool {
    match shown.rem_euclid(MICROSECONDS) {
        0 => shown < told - told.rem_euclid(MICROSECONDS),
        _ => shown < told,
    }
}

fn unlike_worklog(hint: WorklogHint, answers: &Answers) -> Option<String> {
    let id = hint.worklog_id;
    match (answers.other_worklogs.contains(&id), hint.change) {
        (false, _) => None,
        (true, Change::Deleted) => Some(format!("the site still shows worklog {id}")),
        (true, _) => Some(format!("the site does not show worklog {id} yet")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(5)];

    fn event(change: Change, updated_us: Option<i64>) -> Understood {
        Understood {
            kind: "jira:issue_updated".into(),
            hints: Hints {
                issues: vec![IssueHint {
                    issue_id: 7,
                    change,
                    updated_us,
                }],
                ..Hints::default()
            },
        }
    }

    fn judged(change: Change, updated_us: Option<i64>, shown: Shown, attempts: u32) -> Verdict {
        let answers = Answers {
            issues: HashMap::from([(7, shown)]),
            ..Answers::default()
        };
        verdict(event(change, updated_us), attempts, &PATIENCE, &answers)
    }

    #[test]
    fn an_event_is_late_until_the_site_shows_it_and_given_up_in_the_end() {
        use Change::{Created, Deleted, Updated};
        let late = |verdict: Verdict| matches!(verdict, Verdict::Late { .. });
        let told = Some(5_500_000);
        assert!(late(judged(Updated, told, Shown::At(Some(5_400_000)), 0)));
        assert!(late(judged(Created, told, Shown::Missing, 0)));
        assert!(late(judged(Deleted, told, Shown::At(told), 0)));
        assert!(late(judged(Deleted, told, Shown::Withheld, 0)));
        for (change, shown) in [
            (Updated, Shown::At(told)),
            (Updated, Shown::At(Some(6_000_001))),
            // Whole seconds: the same second is as new.
            (Updated, Shown::At(Some(5_000_000))),
            (Updated, Shown::At(None)),
            (Updated, Shown::Missing),
            (Created, Shown::OutOfScope),
            (Deleted, Shown::Missing),
        ] {
            let verdict = judged(change, told, shown, 0);
            assert!(
                matches!(verdict, Verdict::Done { note: None, .. }),
                "{change:?} {shown:?}"
            );
        }
        assert!(late(judged(Updated, told, Shown::At(Some(4_000_000)), 1)));
        match judged(Updated, told, Shown::At(Some(4_000_000)), 2) {
            Verdict::Done { note, .. } => assert!(note.unwrap().contains("given up")),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_is_named_twice_is_asked_for_once() {
        let worklog = |change, at_ms| WorklogHint {
            worklog_id: 9,
            change,
            at_ms: Some(at_ms),
        };
        let hints = [
            event(Change::Updated, None).hints,
            event(Change::Deleted, None).hints,
            Hints {
                worklogs: vec![worklog(Change::Created, 1), worklog(Change::Deleted, 2)],
                listings: vec!["sprints", "boards"],
                ..Hints::default()
            },
        ];
        let wanted = Wanted::of(hints.iter());
        assert_eq!(wanted.issues.len(), 1);
        assert!(wanted.deleted.contains(&7));
        assert!(wanted.written_worklogs.is_empty());
        assert_eq!(wanted.deleted_worklogs, BTreeMap::from([(9, 2)]));
        assert!(Wanted::of(std::iter::empty()).is_empty());
    }
}
