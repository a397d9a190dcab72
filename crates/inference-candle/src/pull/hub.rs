//! Files of the model hub: its own library for addresses, tokens and caches (`HF_TOKEN`,
//! `HF_ENDPOINT`, `HF_HOME`), our own transfer, which streams to the disk and goes on where it
//! was interrupted.

use std::fs;
use std::future::Future;
use std::time::Duration;

use hf_hub::api::tokio::{Api, ApiBuilder, ApiError, ApiRepo, Metadata};
use hf_hub::{Cache, Repo, RepoType};
use tokio::io::AsyncWriteExt as _;

use crate::pull::pip::Running;
use crate::pull::progress::Progress;
use crate::pull::store::Place;
use crate::pull::{Failure, disk};

/// The longest wait for an answer or for the next bytes.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often a broken transfer is taken up again without any progress in between.
const TRIES: u32 = 5;

/// The file of a repository to take when none is named: the usual compromise of size and quality.
pub(super) async fn choose(repo: &str, revision: &str) -> Result<String, Failure> {
    let info = patient(repository(&api()?, repo, revision).info())
        .await?
        .map_err(|error| explain(&error, repo))?;
    let names = info
        .siblings
        .into_iter()
        .map(|sibling| sibling.rfilename)
        .collect();
    pick(names).map_err(|names| {
        Failure::Source(if names.is_empty() {
            format!("{repo} has no .gguf file")
        } else {
            format!("name one of the files of {repo}: {}", names.join(", "))
        })
    })
}

/// One of the files, or all that it could have been.
fn pick(mut names: Vec<String>) -> Result<String, Vec<String>> {
    let lower = |name: &String| name.to_lowercase();
    // Split files need all their parts, and projectors are no language models.
    names.retain(|name| {
        let name = lower(name);
        std::path::Path::new(&name)
            .extension()
            .is_some_and(|it| it == "gguf")
            && !name.contains("-of-")
            && !name.contains("mmproj")
    });
    names.sort_by_key(String::len);
    for kind in ["q4_k_m", "q4_k_s", "q4_0", "q8_0"] {
        if let Some(found) = names.iter().find(|name| lower(name).contains(kind)) {
            return Ok(found.clone());
        }
    }
    if names.len() == 1 {
        Ok(names.remove(0))
    } else {
        Err(names)
    }
}

/// Brings a file to where it is then to be checked; gives the SHA-256 that the hub announces.
pub(super) async fn fetch(
    repo: &str,
    file: &str,
    revision: &str,
    place: &Place,
    progress: &dyn Progress,
) -> Result<Option<String>, Failure> {
    if let Cached::Taken { announced } = from_cache(repo, file, revision, place)? {
        return Ok(announced);
    }
    let api = api()?;
    let repository = repository(&api, repo, revision);
    let url = repository.url(file);
    let metadata = patient(api.metadata(&url))
        .await?
        .map_err(|error| explain(&error, repo))?;
    download(&api, &url, repo, &metadata, place, progress).await?;
    Ok(sha256_of(metadata.etag()))
}

/// What the hub's own cache had to offer.
enum Cached {
    Absent,
    Taken { announced: Option<String> },
}

/// Takes a file that another program has fetched already.
fn from_cache(repo: &str, file: &str, revision: &str, place: &Place) -> Result<Cached, Failure> {
    let cached = Cache::from_env()
        .repo(Repo::with_revision(
            repo.into(),
            RepoType::Model,
            revision.into(),
        ))
        .get(file)
        .and_then(|path| fs::canonicalize(path).ok());
    let Some(path) = cached else {
        return Ok(Cached::Absent);
    };
    let part = place.part();
    let _ = fs::remove_file(&part);
    fs::copy(&path, &part).map_err(|error| disk(&part, error))?;
    // The cache names its files by what the hub announced.
    let announced = path.file_name().and_then(|name| sha256_of(name.to_str()?));
    Ok(Cached::Taken { announced })
}

async fn download(
    api: &Api,
    url: &str,
    repo: &str,
    metadata: &Metadata,
    place: &Place,
    progress: &dyn Progress,
) -> Result<(), Failure> {
    let (part, total) = (place.part(), metadata.size() as u64);
    let tag = place.work().join("etag");
    fs::create_dir_all(place.work()).map_err(|error| disk(&place.work(), error))?;
    // What is there already counts only if it is of the same file.
    if fs::read_to_string(&tag).ok().as_deref() != Some(metadata.etag()) {
        let _ = fs::remove_file(&part);
        fs::write(&tag, metadata.etag()).map_err(|error| disk(&tag, error))?;
    }
    let mut out = tokio::fs::OpenOptions::new()
        .append(true)
        .create(true)
        .open(&part)
        .await
        .map_err(|error| disk(&part, error))?;
    let _running = Running::start(progress, Some(total));
    let mut done = fs::metadata(&part).map_or(0, |meta| meta.len());
    progress.advance(done.min(total));
    let mut tries = 0;
    while done < total {
        let before = done;
        let outcome = transfer(api, url, &mut out, &mut done, progress).await;
        out.flush().await.map_err(|error| disk(&part, error))?;
        match outcome {
            Ok(()) if done > before => {}
            Ok(()) => return Err(Failure::Source("the hub sends nothing".into())),
            Err(Broken::Write(error)) => return Err(disk(&part, error).into()),
            Err(Broken::Net(error)) => {
                tries = if done > before { 1 } else { tries + 1 };
                if tries >= TRIES || !worth_retrying(&error) {
                    return Err(explain(&error, repo));
                }
                tokio::time::sleep(Duration::from_millis(500) * 2_u32.pow(tries)).await;
            }
            Err(Broken::Silent) => {
                return Err(Failure::Source(
                    "no network: the hub has fallen silent".into(),
                ));
            }
        }
    }
    if done > total {
        // Somebody else's bytes: begin anew next time.
        let _ = fs::remove_file(&part);
        return Err(Failure::Source("more came than was announced".into()));
    }
    Ok(())
}

enum Broken {
    Net(ApiError),
    Write(std::io::Error),
    Silent,
}

/// One request for the rest of a file, written as it comes.
async fn transfer(
    api: &Api,
    url: &str,
    out: &mut tokio::fs::File,
    done: &mut u64,
    progress: &dyn Progress,
) -> Result<(), Broken> {
    let net = |error| Broken::Net(ApiError::RequestError(error));
    let request = api
        .client()
        .get(url)
        .header("range", format!("bytes={done}-"));
    let response = tokio::time::timeout(PATIENCE, request.send())
        .await
        .map_err(|_| Broken::Silent)?
        .map_err(net)?;
    let mut response = response.error_for_status().map_err(net)?;
    // A server that knows no ranges sends everything again.
    if response.status().as_u16() != 206 && *done > 0 {
        out.set_len(0).await.map_err(Broken::Write)?;
        *done = 0;
    }
    while let Some(bytes) = tokio::time::timeout(PATIENCE, response.chunk())
        .await
        .map_err(|_| Broken::Silent)?
        .map_err(net)?
    {
        out.write_all(&bytes).await.map_err(Broken::Write)?;
        *done += bytes.len() as u64;
        progress.advance(bytes.len() as u64);
    }
    Ok(())
}

fn api() -> Result<Api, Failure> {
    let mut builder = ApiBuilder::from_env();
    if let Ok(token) = std::env::var("HF_TOKEN")
        && !token.is_empty()
    {
        builder = builder.with_token(Some(token));
    }
    builder
        .build()
        .map_err(|error| Failure::Source(format!("the hub's settings make no sense: {error}")))
}

fn repository(api: &Api, repo: &str, revision: &str) -> ApiRepo {
    api.repo(Repo::with_revision(
        repo.into(),
        RepoType::Model,
        revision.into(),
    ))
}

async fn patient<T>(work: impl Future<Output = T>) -> Result<T, Failure> {
    tokio::time::timeout(PATIENCE, work)
        .await
        .map_err(|_| Failure::Source("no network: the hub does not answer".into()))
}

fn status(error: &ApiError) -> Option<u16> {
    match error {
        ApiError::RequestError(error) => error.status().map(|status| status.as_u16()),
        _ => None,
    }
}

fn worth_retrying(error: &ApiError) -> bool {
    status(error).is_none_or(|status| status >= 500 || status == 429)
}

/// Turns an error of the hub into what can be done about it.
fn explain(error: &ApiError, repo: &str) -> Failure {
    Failure::Source(match status(error) {
        Some(401 | 403) => {
            format!("{repo} needs a token: accept the model's terms on its page and set HF_TOKEN")
        }
        Some(404) => format!("{repo} has no such file or revision"),
        Some(status) => format!("the hub answers with status {status}: try again later"),
        None => match error {
            ApiError::RequestError(_) => {
                "no network: check the connection, HTTPS_PROXY and HF_ENDPOINT".into()
            }
            other => format!("the hub's answer makes no sense: {other}"),
        },
    })
}

/// Large files are tagged with their hash.
fn sha256_of(etag: &str) -> Option<String> {
    let etag = etag.trim_matches('"');
    (etag.len() == 64 && etag.bytes().all(|c| c.is_ascii_hexdigit())).then(|| etag.to_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_picked_by_its_quantization() {
        let cases: [(&[&str], Result<&str, usize>); 4] = [
            (
                &["a-Q8_0.gguf", "a-Q4_K_M.gguf", "README.md"],
                Ok("a-Q4_K_M.gguf"),
            ),
            (&["mmproj-a-Q4_K_M.gguf", "a-q8_0.gguf"], Ok("a-q8_0.gguf")),
            (
                &["a-Q4_K_M-00001-of-00002.gguf", "a-f16.gguf"],
                Ok("a-f16.gguf"),
            ),
            (&["a-f16.gguf", "a-f32.gguf"], Err(2)),
        ];
        for (names, expected) in cases {
            let found = pick(names.iter().map(ToString::to_string).collect());
            assert_eq!(found.as_deref().map_err(Vec::len), expected);
        }
    }

    #[test]
    fn only_long_tags_are_hashes() {
        let hash = "AB".repeat(32);
        assert_eq!(sha256_of(&format!("\"{hash}\"")), Some(hash.to_lowercase()));
        assert_eq!(sha256_of("d0ee0c39a9"), None);
    }
}
