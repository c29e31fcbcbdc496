//! Everything a test or the demo may set: the generated world, the server's limits, its account,
//! and the ways in which it misbehaves.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use chrono::{DateTime, SubsecRound, Utc};

/// How one simulated site is made and served.
#[derive(Clone, Debug)]
pub struct Settings {
    pub world: WorldSettings,
    pub deployment: Deployment,
    pub account: Account,
    /// Added to every answer.
    pub latency: Duration,
    pub limits: PageLimits,
    pub rate_limit: Option<RateLimit>,
    /// Id of the site behind the gateway.
    pub cloud_id: String,
    /// The app that may sign in.
    pub oauth: Option<OAuth>,
    /// How long after a change the search index shows it; other endpoints show it at once.
    pub index_delay: Duration,
    pub address: SocketAddr,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            world: WorldSettings::default(),
            deployment: Deployment::Cloud,
            account: Account::default(),
            latency: Duration::ZERO,
            limits: PageLimits::default(),
            rate_limit: None,
            cloud_id: "11111111-2222-4333-8444-555555555555".to_owned(),
            oauth: None,
            index_delay: Duration::ZERO,
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
        }
    }
}

/// Which Jira the server pretends to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deployment {
    Cloud,
    DataCenter,
}

/// The one account that may sign in: Basic `email:token` or `Bearer token`.
#[derive(Clone, Debug)]
pub struct Account {
    pub email: String,
    pub token: String,
    /// IANA name; used by `/myself`, by every timestamp and by JQL date literals.
    pub time_zone: String,
}

impl Default for Account {
    fn default() -> Self {
        Self {
            email: "reporter@example.org".to_owned(),
            token: "simulator-token".to_owned(),
            time_zone: "Europe/Berlin".to_owned(),
        }
    }
}

/// An app that signs in by OAuth 2.0.
#[derive(Clone, Debug)]
pub struct OAuth {
    pub client_id: String,
    pub client_secret: String,
    /// What the first person got who signed in to it.
    pub refresh_token: String,
    /// How long an access token is good.
    pub access_life: Duration,
    /// How long after its first use a refresh token may be used again, for answers that got lost.
    pub leeway: Duration,
}

impl Default for OAuth {
    fn default() -> Self {
        Self {
            client_id: "simulated-app".to_owned(),
            client_secret: "simulated-client-secret".to_owned(),
            refresh_token: "simulated-consent-0".to_owned(),
            access_life: Duration::from_secs(3600),
            leeway: Duration::from_secs(600),
        }
    }
}

/// The caps a site puts on pages, however much a caller asks for.
#[derive(Clone, Debug)]
pub struct PageLimits {
    /// Issues of a search page when only `id` and `key` are asked for.
    pub search_light: usize,
    /// Issues of a search page otherwise.
    pub search_full: usize,
    /// Issues of one bulk fetch.
    pub bulk_issues: usize,
    /// Issues named in one bulk changelog fetch.
    pub bulk_changelog_issues: usize,
    /// Histories of one bulk changelog page.
    pub bulk_changelog_histories: usize,
    /// Histories of one page of an issue's own changelog.
    pub issue_changelog: usize,
    /// Histories shown by `expand=changelog` on a search (Cloud only).
    pub expanded_histories: usize,
    /// Comments and worklogs shown inside an issue.
    pub inline_entries: usize,
    /// Boards, sprints, issues of the agile API.
    pub agile: usize,
    /// Issues of a page of the agile API.
    pub agile_issues: usize,
    /// Fields, statuses, projects and other reference data.
    pub reference: usize,
    pub users: usize,
    pub worklogs: usize,
    /// Issues of a search page on Data Center.
    pub data_center_search: usize,
    /// Histories shown by `expand=changelog` on a search of Data Center, newest first.
    pub data_center_searched_histories: usize,
    /// The same on a single issue.
    pub data_center_histories: usize,
    /// How long a `nextPageToken` stays good.
    pub token_life: Duration,
}

impl Default for PageLimits {
    fn default() -> Self {
        Self {
            search_light: 5000,
            search_full: 100,
            bulk_issues: 100,
            bulk_changelog_issues: 1000,
            bulk_changelog_histories: 10_000,
            issue_changelog: 100,
            expanded_histories: 40,
            inline_entries: 20,
            agile: 50,
            agile_issues: 100,
            reference: 50,
            users: 1000,
            worklogs: 1000,
            data_center_search: 1000,
            data_center_searched_histories: usize::MAX,
            data_center_histories: usize::MAX,
            token_life: Duration::from_secs(7 * 24 * 3600),
        }
    }
}

/// When the server answers 429.
#[derive(Clone, Copy, Debug)]
pub enum RateLimit {
    /// Every `n`-th request is refused.
    EveryNth { n: u64, retry_after: Duration },
    /// A bucket of `capacity` requests that refills at `per_second`.
    Bucket { capacity: f64, per_second: f64 },
}

/// What the generated site looks like.
#[derive(Clone, Debug)]
pub struct WorldSettings {
    pub seed: u64,
    /// The instant the generated history ends, and the clock's first value.
    pub now: DateTime<Utc>,
    pub years: f64,
    pub projects: u32,
    /// Scrum boards with sprints of their own, for each project.
    pub boards_per_project: u32,
    /// A further scrum board that shows the sprints of the first one.
    pub shared_board: bool,
    pub kanban_board: bool,
    /// A further board of the simple kind, as team-managed projects have them, without sprints.
    pub simple_board: bool,
    /// Closed sprints of a board at most; what `years` leaves before them is history without sprints.
    pub sprints_per_board: u32,
    pub sprint_days: u32,
    pub future_sprints: u32,
    /// Issues planned into a sprint, on average.
    pub issues_per_sprint: u32,
    pub people_per_project: u32,
    /// The second project estimates in a field of its own (`jsw-story-points`).
    pub estimate_field_per_project: bool,
    /// Working hours are in this zone.
    pub time_zone: String,
}

impl Default for WorldSettings {
    fn default() -> Self {
        Self {
            seed: 1,
            now: Utc::now().trunc_subsecs(3),
            years: 2.0,
            projects: 2,
            boards_per_project: 1,
            shared_board: true,
            kanban_board: true,
            simple_board: false,
            sprints_per_board: 26,
            sprint_days: 14,
            future_sprints: 2,
            issues_per_sprint: 12,
            people_per_project: 9,
            estimate_field_per_project: false,
            time_zone: "Europe/Berlin".to_owned(),
        }
    }
}

impl WorldSettings {
    /// A small world for property tests: one project, one board, few sprints.
    pub fn small(seed: u64, now: DateTime<Utc>) -> Self {
        Self {
            seed,
            now,
            years: 0.3,
            projects: 1,
            shared_board: false,
            kanban_board: false,
            sprints_per_board: 4,
            issues_per_sprint: 6,
            people_per_project: 4,
            ..Self::default()
        }
    }
}
