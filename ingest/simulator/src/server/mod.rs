//! The HTTP server around a world or a recording.

mod agile;
mod call;
mod changelog;
pub(crate) mod fault;
pub(crate) mod gate;
mod issues;
mod oauth;
mod reference;
mod routes;
mod search;
mod token;
mod webhook;
mod worklogs;

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Tz;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::render::{Source, View};
use crate::settings::Settings;
use crate::world::World;

pub use fault::{Fault, FaultKind};
pub use gate::RequestLog;
pub use webhook::{Webhook, signature};

/// A running simulated site; dropping it stops the server.
#[derive(Debug)]
pub struct Simulator {
    shared: Arc<Shared>,
    stop: Option<oneshot::Sender<()>>,
    task: Option<JoinHandle<()>>,
}

/// What the handlers of one server share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) settings: Settings,
    pub(crate) zone: Tz,
    pub(crate) base: String,
    world: RwLock<World>,
    recording: Option<crate::replay::Recording>,
    gate: gate::Gate,
    /// Counts the edits.
    revision: AtomicU64,
    lately: Mutex<Option<search::Lately>>,
    tokens: oauth::Tokens,
}

impl Simulator {
    /// Generates the settings' world and serves it.
    pub async fn start(settings: Settings) -> io::Result<Self> {
        let world = World::generate(&settings.world);
        Self::start_with(settings, world).await
    }

    /// Serves a world made by the caller.
    pub async fn start_with(settings: Settings, world: World) -> io::Result<Self> {
        Self::serve(settings, world, None).await
    }

    /// Serves the payloads recorded in a folder (of board 8) instead of a world; [`Simulator::edit`]
    /// then edits an empty world that nobody sees.
    pub async fn replay(dir: &Path, settings: Settings) -> io::Result<Self> {
        Self::replay_board(dir, crate::replay::RECORDED_BOARD, settings).await
    }

    /// The same for another board of the recording.
    pub async fn replay_board(dir: &Path, board: u64, settings: Settings) -> io::Result<Self> {
        let recording = crate::replay::Recording::load(dir, board)?;
        let world = World::empty(&settings.world);
        Self::serve(settings, world, Some(recording)).await
    }

    async fn serve(
        settings: Settings,
        world: World,
        recording: Option<crate::replay::Recording>,
    ) -> io::Result<Self> {
        let zone = settings.account.time_zone.parse::<Tz>().map_err(|error| {
            io::Error::new(io::ErrorKind::InvalidInput, format!("time zone: {error}"))
        })?;
        let listener = TcpListener::bind(settings.address).await?;
        let base = format!("http://{}", listener.local_addr()?);
        let shared = Arc::new(Shared {
            gate: gate::Gate::new(settings.rate_limit),
            tokens: oauth::Tokens::new(settings.oauth.as_ref()),
            settings,
            zone,
            base,
            world: RwLock::new(world),
            recording,
            revision: AtomicU64::new(0),
            lately: Mutex::default(),
        });
        let (stop, stopped) = oneshot::channel::<()>();
        let app = routes::router(Arc::clone(&shared));
        let task = tokio::spawn(async move {
            let serving = axum::serve(listener, app).with_graceful_shutdown(async {
                // A dropped sender stops the server as well.
                let _ = stopped.await;
            });
            let _ = serving.await;
        });
        Ok(Self {
            shared,
            stop: Some(stop),
            task: Some(task),
        })
    }

    /// `http://127.0.0.1:PORT`
    pub fn url(&self) -> &str {
        &self.shared.base
    }

    /// The site's address behind the gateway: `URL/ex/jira/CLOUD_ID`
    pub fn gateway_url(&self) -> String {
        format!("{}{}", self.shared.base, self.shared.gateway())
    }

    /// Ends all access tokens of apps at once; their refresh tokens stay good.
    pub fn end_access(&self) {
        self.shared.tokens.end_access();
    }

    /// Signs a person in to the app anew and gives the refresh token; older ones are void.
    pub fn sign_in(&self) -> String {
        self.shared.tokens.sign_in()
    }

    pub fn settings(&self) -> &Settings {
        &self.shared.settings
    }

    /// Reads or edits the world between requests.
    pub fn edit<R>(&self, f: impl FnOnce(&mut World) -> R) -> R {
        let mut world = self
            .shared
            .world
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        self.shared.revision.fetch_add(1, Ordering::AcqRel);
        f(&mut world)
    }

    /// The site's clock.
    pub fn now(&self) -> DateTime<Utc> {
        self.edit(|world| world.now())
    }

    pub fn advance(&self, by: TimeDelta) {
        self.edit(|world| world.advance_clock(by));
    }

    /// Plans a fault; several may wait at once, the first that matches a request happens.
    pub fn inject(&self, fault: Fault) {
        self.shared.gate.inject(fault);
    }

    /// Forgets the faults that have not happened yet.
    pub fn clear_faults(&self) {
        self.shared.gate.clear_faults();
    }

    /// Every request so far, refused ones included.
    pub fn requests(&self) -> Vec<RequestLog> {
        self.shared.gate.requests()
    }

    pub fn clear_requests(&self) {
        self.shared.gate.clear_requests();
    }

    /// Stops serving, at once for idle connections and after a moment for the others.
    pub async fn stop(mut self) {
        drop(self.stop.take());
        if let Some(mut task) = self.task.take()
            && tokio::time::timeout(Duration::from_millis(500), &mut task)
                .await
                .is_err()
        {
            task.abort();
        }
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        if let Some(task) = self.task.take() {
            task.abort();
        }
    }
}

impl Shared {
    /// Looks at the site as it is now.
    pub(crate) fn read<R>(&self, look: impl FnOnce(&dyn Source) -> R) -> R {
        match &self.recording {
            Some(recording) => look(recording),
            None => look(&*self.world.read().unwrap_or_else(PoisonError::into_inner)),
        }
    }

    /// Path of the site behind the gateway.
    fn gateway(&self) -> String {
        format!("/ex/jira/{}", self.settings.cloud_id)
    }

    /// How a request to a path sees the site.
    pub(crate) fn view(&self, path: &str) -> View {
        let gateway = self.gateway();
        let (base, path) = match path.strip_prefix(&gateway) {
            Some(path) => (format!("{}{gateway}", self.base), path),
            None => (self.base.clone(), path),
        };
        let version = if path.starts_with("/rest/api/3") {
            3
        } else {
            2
        };
        View {
            base,
            zone: self.zone,
            deployment: self.settings.deployment,
            version,
            inline: self.settings.limits.inline_entries,
        }
    }

    pub(crate) fn now(&self) -> DateTime<Utc> {
        self.read(|source| source.now())
    }
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
