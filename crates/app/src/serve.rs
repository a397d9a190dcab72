//! `tertulia serve`: parse, build, say what was bound, run, wait, drain.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use axum::Router;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tertulia_admin::AdminState;
use tertulia_config::{Account, Config};
use tertulia_conversation::{Parts, Service};
use tertulia_domain::{Clock, SystemClock};
use tertulia_platform::{Intake, Platform};
use tertulia_storage::Storage;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{error, info, warn};

use crate::configs::ConfigFile;
use crate::endings::Endings;
use crate::models::Shelf;
use crate::outcome::Done;
use crate::platforms::{self, Accounts};
use crate::reload::Reloader;
use crate::settings::settings;
use crate::{configs, output, store};

/// Platforms may take this long to confirm what they accepted last.
const GOODBYE: Duration = Duration::from_secs(3);
/// Old rows are looked for this often.
const HOUSEKEEPING: Duration = Duration::from_secs(3600);
/// Platforms repeat an update for at most two days.
const UPDATES_KEPT: Duration = Duration::from_secs(7 * 86_400);

/// Runs until a signal, then drains.
pub(crate) async fn run(file: &ConfigFile) -> Done {
    let config = Arc::new(configs::read(file)?);
    let file = configs::file(file);
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let listener = TcpListener::bind(config.server.listen)
        .await
        .with_context(|| format!("cannot listen on {} (server.listen)", config.server.listen))?;
    let metrics = recorder()?;
    let store = store::open(&config).await?;
    let storage: Arc<dyn Storage> = Arc::new(store.clone());
    let accounts = platforms::accounts(&config, &storage, &clock)?;

    let shelf = Shelf::default();
    let prepared = shelf.prepare(&config).await;
    bearable(&config, &prepared.failed)?;
    let first = settings(&config, prepared.models.clone(), 1);
    shelf.keep(prepared);
    let reloader = Reloader::new(file, config.clone(), shelf, clock.clone());
    let Accounts {
        platforms,
        routes,
        web,
    } = accounts;
    let service = Service::new(Parts {
        storage: storage.clone(),
        platforms: platforms.clone(),
        settings: first,
        clock: clock.clone(),
        operator: reloader.clone(),
        parallel: config.server.lanes,
    });
    reloader.attach(service.clone());
    let resumed = service
        .resume()
        .await
        .context("cannot take up what an earlier run left")?;

    let stop = CancellationToken::new();
    let tasks = TaskTracker::new();
    for platform in platforms.into_values() {
        tasks.spawn(hear(platform, service.clone(), stop.clone()));
    }
    if config.server.watch {
        tasks.spawn(reloader.clone().watch(stop.clone()));
    }
    #[cfg(unix)]
    tasks.spawn(reloader.clone().on_signal(stop.clone()));
    tasks.spawn(keep_house(
        storage.clone(),
        config.clone(),
        clock,
        stop.clone(),
    ));
    let state = AdminState {
        control: reloader,
        metrics,
        token: config.server.admin_token.clone(),
    };
    let address = listener.local_addr()?;
    let routes = routes.merge(tertulia_admin::routes(state));
    let server = tokio::spawn(serve(listener, routes, stop.clone()));
    tasks.close();
    let mut endings = Endings::listen().context("cannot listen for signals")?;
    announce(&config, address, resumed);

    endings.next().await;
    info!("stopping: finishing what runs, a second signal ends at once");
    tokio::select! {
        () = drain(&config, &service, &stop, &tasks) => {}
        () = endings.next() => warn!("ended at once"),
    }
    if let Some(web) = web {
        web.close();
    }
    server.abort();
    store.close().await;
    output::say("Goodbye.");
    Ok(())
}

async fn drain(config: &Config, service: &Service, stop: &CancellationToken, tasks: &TaskTracker) {
    stop.cancel();
    if tokio::time::timeout(GOODBYE, tasks.wait()).await.is_err() {
        warn!("an account did not stop in time; what it had not confirmed comes again");
    }
    service.drain(config.server.drain).await;
}

/// Runs one account; one that cannot go on leaves the others alone.
async fn hear(platform: Arc<dyn Platform>, service: Arc<Service>, stop: CancellationToken) {
    let account = platform.account().clone();
    let intake: Arc<dyn Intake> = service;
    if let Err(problem) = platform.run(intake, stop).await {
        metrics::counter!("tertulia_accounts_failed_total").increment(1);
        error!(%account, error = format!("{:#}", anyhow::Error::from(problem)),
            "this account cannot go on");
    }
}

async fn serve(listener: TcpListener, routes: Router, stop: CancellationToken) {
    let service = routes.into_make_service_with_connect_info::<SocketAddr>();
    let served = axum::serve(listener, service)
        .with_graceful_shutdown(async move { stop.cancelled().await })
        .await;
    if let Err(problem) = served {
        error!(%problem, "the web server ended");
    }
}

/// A model that is not ready is an error of that model only, unless a persona has no other.
fn bearable(config: &Config, failed: &[(String, String)]) -> anyhow::Result<()> {
    let ready = |model: &String| failed.iter().all(|(name, _)| name != model);
    let mute = config
        .personas
        .iter()
        .find(|(_, persona)| !persona.models.iter().any(ready));
    match (mute, failed.first()) {
        (Some((persona, _)), Some((model, problem))) => {
            anyhow::bail!("persona {persona} has no model that works: {model}: {problem}")
        }
        _ => Ok(()),
    }
}

async fn keep_house(
    storage: Arc<dyn Storage>,
    config: Arc<Config>,
    clock: Arc<dyn Clock>,
    stop: CancellationToken,
) {
    loop {
        let now = clock.now();
        let mut pruned = storage.prune_updates(now.before(UPDATES_KEPT)).await;
        if !config.storage.retention.is_zero() && pruned.is_ok() {
            pruned = storage
                .prune_messages(now.before(config.storage.retention))
                .await;
        }
        match pruned {
            Ok(0) => {}
            Ok(rows) => info!(rows, "forgot what is too old"),
            Err(problem) => warn!(%problem, "could not forget what is too old"),
        }
        tokio::select! {
            () = tokio::time::sleep(HOUSEKEEPING) => {}
            () = stop.cancelled() => return,
        }
    }
}

fn recorder() -> anyhow::Result<PrometheusHandle> {
    let seconds = [0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0];
    let builder = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".into()), &seconds)?;
    Ok(builder.install_recorder()?)
}

fn announce(config: &Config, address: SocketAddr, resumed: usize) {
    output::say(&format!("Tertulia is open on http://{address}"));
    for (name, account) in &config.accounts {
        if !matches!(account, Account::Web(_)) {
            output::say(&format!(
                "  {} account {name}: connecting",
                account.platform()
            ));
        }
    }
    let models: Vec<&str> = config.used_models().into_keys().collect();
    output::say(&format!("  models: {}", models.join(", ")));
    if resumed > 0 {
        output::say(&format!(
            "  taking up {resumed} conversations that were not finished"
        ));
    }
    output::say("  Ctrl-C stops it.");
}
