//! The real binary as a child process in a folder of its own.
//!
//! Invariant: no child outlives the value that started it.

use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::watch;

/// A folder with a config, in which commands run and the service is started.
pub struct House {
    dir: TempDir,
    env: Vec<(String, String)>,
    listen: String,
}

/// A service that runs.
pub struct Tertulia {
    house: House,
    child: Option<Child>,
    lines: Lines,
}

/// What a child wrote, line by line.
#[derive(Clone)]
struct Lines {
    kept: Arc<Mutex<Vec<String>>>,
    pulse: watch::Sender<usize>,
}

const READY: Duration = Duration::from_secs(60);
const STOPPED: Duration = Duration::from_secs(30);
/// A child that writes more than this loses its first lines here.
const LINES_MAX: usize = 20_000;

/// The binary under test: `TERTULIA_BIN`, or the release build of the target folder.
///
/// # Panics
///
/// When there is none.
pub fn binary() -> PathBuf {
    let named = std::env::var_os("TERTULIA_BIN").map(PathBuf::from);
    let built = || {
        let target = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
        let home = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target");
        target.unwrap_or(home).join("release/tertulia")
    };
    let path = named.unwrap_or_else(built);
    assert!(
        path.is_file(),
        "no binary at {}: build it with `cargo build --release` or set TERTULIA_BIN",
        path.display()
    );
    path
}

// === impl House ===

impl House {
    /// Lays a config into a new folder; `{listen}` in it becomes a free address.
    pub fn new(config: &str, env: &[(&str, &str)]) -> Self {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let env = env
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
            .collect();
        let given = config
            .split_once("listen = \"")
            .and_then(|(_, rest)| rest.split_once('"'));
        let listen = match given {
            Some((address, _)) if address != "{listen}" => address.to_owned(),
            _ => free_address(),
        };
        let house = Self { dir, env, listen };
        house.write_config(config);
        house
    }

    /// Replaces the config file in one step, as an editor does.
    pub fn write_config(&self, config: &str) {
        let config = config.replace("{listen}", &self.listen);
        let draft = self.dir.path().join("tertulia.toml.new");
        std::fs::write(&draft, config).expect("the folder can be written");
        std::fs::rename(draft, self.config()).expect("a file of the same folder");
    }

    /// The config file.
    pub fn config(&self) -> PathBuf {
        self.dir.path().join("tertulia.toml")
    }

    /// The folder that commands run in.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// The address of the service's HTTP side.
    pub fn base_url(&self) -> String {
        format!("http://{}", self.listen)
    }

    fn command(&self) -> Command {
        let mut command = Command::new(binary());
        command
            .current_dir(self.dir.path())
            .stdin(Stdio::null())
            .kill_on_drop(true);
        for (key, _) in std::env::vars_os() {
            // What the developer's shell holds shall not join the test.
            let name = key.to_string_lossy();
            if name.starts_with("TERTULIA_") || name.ends_with("_TOKEN") || name.ends_with("_KEY") {
                command.env_remove(&key);
            }
        }
        command.envs(self.env.iter().map(|(k, v)| (k, v)));
        command
    }

    /// Runs a command to its end, such as `["check", "--config", "tertulia.toml"]`.
    pub async fn run(&self, args: &[&str]) -> Output {
        let mut command = self.command();
        command.args(args);
        command.output().await.expect("the binary can be started")
    }

    /// Starts the service without waiting for it.
    pub fn spawn(self) -> Tertulia {
        let mut service = Tertulia {
            house: self,
            child: None,
            lines: Lines::new(),
        };
        service.launch();
        service
    }
}

// === impl Tertulia ===

impl Tertulia {
    /// Starts the service with a config and waits until it is ready.
    pub async fn start(config: &str, env: &[(&str, &str)]) -> Self {
        let mut service = House::new(config, env).spawn();
        service.ready().await;
        service
    }

    /// Starts the service again in the same folder and waits until it is ready.
    pub async fn restart(&mut self) {
        self.kill9().await;
        self.launch();
        self.ready().await;
    }

    /// Starts the service again in the same folder without waiting for it.
    pub fn launch(&mut self) {
        let mut command = self.house.command();
        command
            .arg("serve")
            .arg("--config")
            .arg(self.house.config());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the binary can be started");
        self.lines
            .follow(child.stderr.take().expect("stderr is piped"));
        self.lines
            .follow(child.stdout.take().expect("stdout is piped"));
        self.child = Some(child);
    }

    /// Waits until `/health/ready` answers 200.
    ///
    /// # Panics
    ///
    /// When it does not within a minute, or the process ends; with what it wrote.
    pub async fn ready(&mut self) {
        let client = reqwest::Client::builder()
            .no_proxy()
            .build()
            .expect("a plain client");
        let url = format!("{}/health/ready", self.house.base_url());
        let deadline = tokio::time::Instant::now() + READY;
        loop {
            let answer = client
                .get(&url)
                .timeout(Duration::from_secs(2))
                .send()
                .await;
            if answer.as_ref().is_ok_and(|answer| answer.status() == 200) {
                return;
            }
            if let Some(status) = self.exited() {
                panic!(
                    "the service ended with {status} before it was ready:\n{}",
                    self.tail()
                );
            }
            assert!(
                tokio::time::Instant::now() < deadline,
                "the service is not ready after {READY:?}: {answer:?}\n{}",
                self.tail()
            );
            // Readiness of another process can only be asked for.
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Kills the process as a power cut would and waits until it is gone.
    pub async fn kill9(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill().await;
        }
    }

    /// Asks the process to stop and waits for its exit code; none when a signal ended it.
    ///
    /// # Panics
    ///
    /// When it does not stop in half a minute.
    pub async fn terminate(&mut self) -> Option<i32> {
        self.signal("TERM");
        self.wait().await
    }

    /// Waits for the exit code of the process; none when a signal ended it.
    ///
    /// # Panics
    ///
    /// When it does not stop in half a minute.
    pub async fn wait(&mut self) -> Option<i32> {
        let mut child = self.child.take().expect("the service runs");
        let status = tokio::time::timeout(STOPPED, child.wait()).await;
        let Ok(status) = status else {
            panic!(
                "the service did not stop within {STOPPED:?}:\n{}",
                self.tail()
            );
        };
        status.expect("a child can be waited for").code()
    }

    /// Sends a signal by its short name, such as `HUP`.
    pub fn signal(&self, name: &str) {
        let pid = self.pid().expect("the service runs");
        let script = format!("kill -{name} {pid}");
        let status = std::process::Command::new("sh")
            .args(["-c", &script])
            .status();
        assert!(
            status.is_ok_and(|status| status.success()),
            "no signal to {pid}"
        );
    }

    /// The process id while it runs.
    pub fn pid(&self) -> Option<u32> {
        self.child.as_ref().and_then(Child::id)
    }

    /// How the process ended, when it has.
    pub fn exited(&mut self) -> Option<std::process::ExitStatus> {
        self.child
            .as_mut()
            .and_then(|child| child.try_wait().ok().flatten())
    }

    /// The folder with its config.
    pub fn house(&self) -> &House {
        &self.house
    }

    /// The address of the service's HTTP side.
    pub fn base_url(&self) -> String {
        self.house.base_url()
    }

    /// Runs a command in the same folder to its end.
    pub async fn run(&self, args: &[&str]) -> Output {
        self.house.run(args).await
    }

    /// What the service wrote so far, over all its starts.
    pub fn stderr(&self) -> Vec<String> {
        self.lines
            .kept
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Waits for a line that holds a text.
    ///
    /// # Panics
    ///
    /// When none comes in time.
    pub async fn wait_for_line(&self, part: &str, timeout: Duration) -> String {
        let mut pulse = self.lines.pulse.subscribe();
        let wait = async {
            loop {
                if let Some(line) = self.stderr().into_iter().find(|line| line.contains(part)) {
                    return line;
                }
                let _ = pulse.changed().await;
            }
        };
        let found = tokio::time::timeout(timeout, wait).await;
        found.unwrap_or_else(|_| panic!("no line with {part:?}:\n{}", self.tail()))
    }

    fn tail(&self) -> String {
        let lines = self.stderr();
        lines[lines.len().saturating_sub(40)..].join("\n")
    }
}

impl Drop for Tertulia {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.start_kill();
        }
        if std::thread::panicking() {
            // The test harness shows this only for the test that failed.
            std::io::Write::write_all(
                &mut std::io::stderr(),
                format!("the service wrote last:\n{}\n", self.tail()).as_bytes(),
            )
            .unwrap_or_default();
        }
    }
}

// === impl Lines ===

impl Lines {
    fn new() -> Self {
        Self {
            kept: Arc::default(),
            pulse: watch::channel(0).0,
        }
    }

    fn follow(&self, pipe: impl AsyncRead + Send + Unpin + 'static) {
        let this = self.clone();
        tokio::spawn(async move {
            let mut lines = BufReader::new(pipe).lines();
            while let Ok(Some(line)) = lines.next_line().await {
                let mut kept = this.kept.lock().unwrap_or_else(PoisonError::into_inner);
                if kept.len() >= LINES_MAX {
                    kept.drain(..LINES_MAX / 2);
                }
                kept.push(line);
                drop(kept);
                this.pulse.send_modify(|count| *count += 1);
            }
        });
    }
}

fn free_address() -> String {
    let socket = std::net::TcpListener::bind("127.0.0.1:0").expect("the loopback has free ports");
    socket
        .local_addr()
        .expect("a bound socket has an address")
        .to_string()
}
