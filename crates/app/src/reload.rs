//! Reloading the config: prepare, then swap (promise G4).
//!
//! Everything that can fail happens before: reading, validating, loading models. The swap is one
//! pointer; turns in flight finish on what they began with. What only a restart can change keeps
//! its old value and is named in the answer.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use notify::Watcher;
use tertulia_admin::{Control, Fault, Reloaded, Version};
use tertulia_config::Config;
use tertulia_conversation::{Operator, Service};
use tertulia_domain::Clock;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::configs;
use crate::models::Shelf;
use crate::settings::settings;

/// Versions that are remembered.
const VERSIONS_MAX: usize = 100;
/// Editors write in several steps; this long after the last one the file is read.
const SETTLE: Duration = Duration::from_millis(200);

/// Holds the config in force and puts others in its place.
pub(crate) struct Reloader {
    file: Option<PathBuf>,
    shelf: Shelf,
    clock: Arc<dyn Clock>,
    begun: Instant,
    service: OnceLock<Arc<Service>>,
    present: Mutex<Present>,
    /// One reload at a time.
    gate: tokio::sync::Mutex<()>,
}

struct Present {
    config: Arc<Config>,
    version: u64,
    versions: VecDeque<Version>,
}

// === impl Reloader ===

impl Reloader {
    /// Begins with a config that is in force already.
    pub(crate) fn new(
        file: Option<PathBuf>,
        config: Arc<Config>,
        shelf: Shelf,
        clock: Arc<dyn Clock>,
    ) -> Arc<Self> {
        let first = Version {
            version: 1,
            at: clock.now(),
            by: "start".to_owned(),
            changed: Vec::new(),
        };
        let versions = VecDeque::from([first]);
        Arc::new(Self {
            file,
            shelf,
            clock,
            begun: Instant::now(),
            service: OnceLock::new(),
            present: Mutex::new(Present {
                config,
                version: 1,
                versions,
            }),
            gate: tokio::sync::Mutex::new(()),
        })
    }

    /// Names the service whose settings are swapped; before that a reload is refused.
    pub(crate) fn attach(&self, service: Arc<Service>) {
        let _ = self.service.set(service);
    }

    fn config(&self) -> Arc<Config> {
        self.present
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .config
            .clone()
    }

    /// Reads the config again and puts it in force.
    ///
    /// # Errors
    /// Its problems; the old one stays in force.
    pub(crate) async fn reload(&self, by: &str) -> Result<Reloaded, Vec<Fault>> {
        let _one = self.gate.lock().await;
        let Some(service) = self.service.get() else {
            return Err(vec![whole("the service is still starting")]);
        };
        let config = configs::load(self.file.as_deref())
            .map_err(|problems| problems.0.iter().map(configs::fault).collect::<Vec<_>>())?;
        let old = self.config();
        let changes = old.diff(&config);
        let version = {
            let present = self.present.lock().unwrap_or_else(PoisonError::into_inner);
            present.version + u64::from(!changes.changed.is_empty())
        };
        if changes.changed.is_empty() {
            return Ok(Reloaded {
                version,
                changed: Vec::new(),
                restart_required: Vec::new(),
            });
        }
        let prepared = self.shelf.prepare(&config).await;
        if let Some((name, problem)) = prepared.failed.first() {
            return Err(vec![Fault {
                key: format!("models.{name}"),
                message: problem.clone(),
                ..whole("")
            }]);
        }
        let mut next = settings(&config, prepared.models.clone(), version);
        // An account that runs until the restart is served until the restart.
        for (name, account) in &service.settings().accounts {
            next.accounts
                .entry(name.clone())
                .or_insert_with(|| account.clone());
        }
        service.swap(next);
        self.shelf.keep(prepared);
        let mut present = self.present.lock().unwrap_or_else(PoisonError::into_inner);
        present.config = Arc::new(config);
        present.version = version;
        present.versions.push_front(Version {
            version,
            at: self.clock.now(),
            by: by.to_owned(),
            changed: changes.changed.clone(),
        });
        present.versions.truncate(VERSIONS_MAX);
        drop(present);
        info!(version, by, changed = ?changes.changed, restart = ?changes.restart_required,
            "the new config is in force");
        metrics::gauge!("tertulia_config_version").set(version as f64);
        Ok(Reloaded {
            version,
            changed: changes.changed,
            restart_required: changes.restart_required,
        })
    }

    async fn reload_and_log(&self, by: &str) {
        if let Err(faults) = self.reload(by).await {
            metrics::counter!("tertulia_config_refused_total").increment(1);
            for fault in faults {
                error!(
                    problem = line(&fault),
                    "the config is refused, the old one stays in force"
                );
            }
        }
    }

    /// Applies each saved change of the file until `stop`.
    pub(crate) async fn watch(self: Arc<Self>, stop: CancellationToken) {
        let file = self
            .file
            .clone()
            .unwrap_or_else(|| PathBuf::from(configs::DEFAULT_FILE));
        let (sender, mut changes) = mpsc::channel(1);
        let Some(_watcher) = watcher(&file, sender) else {
            return;
        };
        let mut last = std::fs::read(&file).ok();
        loop {
            tokio::select! {
                change = changes.recv() => if change.is_none() { return },
                () = stop.cancelled() => return,
            }
            while tokio::time::timeout(SETTLE, changes.recv()).await.is_ok() {}
            let now = std::fs::read(&file).ok();
            if now != last {
                last = now;
                self.reload_and_log("file").await;
            }
        }
    }

    /// Reloads on each SIGHUP until `stop`.
    #[cfg(unix)]
    pub(crate) async fn on_signal(self: Arc<Self>, stop: CancellationToken) {
        use tokio::signal::unix::{SignalKind, signal};
        let Ok(mut hangup) = signal(SignalKind::hangup()) else {
            return;
        };
        loop {
            tokio::select! {
                _ = hangup.recv() => self.reload_and_log("signal").await,
                () = stop.cancelled() => return,
            }
        }
    }
}

/// Watches the folder, as most editors replace the file rather than write into it.
fn watcher(file: &Path, sender: mpsc::Sender<()>) -> Option<notify::RecommendedWatcher> {
    let name = file.file_name()?.to_owned();
    let folder = match file.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    if !folder.is_dir() {
        // Nobody has written a config yet, nor made room for one.
        return None;
    }
    let notice = move |event: notify::Result<notify::Event>| {
        let ours = |event: &notify::Event| {
            !event.kind.is_access()
                && event
                    .paths
                    .iter()
                    .any(|path| path.file_name() == Some(&name))
        };
        if event.as_ref().map_or(true, ours) {
            // A full channel already says that there is something to read.
            let _ = sender.try_send(());
        }
    };
    let mut watcher = notify::recommended_watcher(notice).ok()?;
    match watcher.watch(folder, notify::RecursiveMode::NonRecursive) {
        Ok(()) => Some(watcher),
        Err(error) => {
            warn!(%error, folder = %folder.display(), "changes of the config are not noticed");
            None
        }
    }
}

fn whole(message: &str) -> Fault {
    Fault {
        file: String::new(),
        line: 1,
        column: 1,
        key: String::new(),
        message: message.to_owned(),
    }
}

fn line(fault: &Fault) -> String {
    let Fault {
        file,
        line,
        column,
        key,
        message,
    } = fault;
    format!("{file}:{line}:{column}: {key}: {message}")
}

#[async_trait]
impl Control for Reloader {
    async fn reload(&self) -> Result<Reloaded, Vec<Fault>> {
        self.reload("api").await
    }

    async fn reasons(&self) -> Vec<String> {
        let Some(service) = self.service.get() else {
            return vec!["the service is starting".to_owned()];
        };
        match service.status().await {
            Ok(_) => Vec::new(),
            Err(error) => vec![error.to_string()],
        }
    }

    fn config(&self) -> serde_json::Value {
        configs::shown(&self.config())
    }

    fn versions(&self) -> Vec<Version> {
        let present = self.present.lock().unwrap_or_else(PoisonError::into_inner);
        present.versions.iter().cloned().collect()
    }
}

#[async_trait]
impl Operator for Reloader {
    async fn reload(&self) -> Result<(u64, Vec<String>), String> {
        match self.reload("chat").await {
            Ok(reloaded) => Ok((reloaded.version, reloaded.restart_required)),
            Err(faults) => Err(faults.iter().map(line).collect::<Vec<_>>().join("\n")),
        }
    }

    fn status(&self) -> Vec<String> {
        let minutes = self.begun.elapsed().as_secs() / 60;
        let config = self.config();
        let accounts: Vec<&str> = config.accounts.keys().map(String::as_str).collect();
        vec![
            format!("tertulia {}, up {minutes} min", env!("CARGO_PKG_VERSION")),
            format!("accounts: {}", accounts.join(", ")),
        ]
    }
}
