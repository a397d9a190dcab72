//! The page's files, which lie in the binary.
//!
//! Every address but the first holds the version, a hash of all files: what was fetched once is
//! never asked for again, and a new binary is a new version.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use rust_embed::RustEmbed;
use sha2::{Digest, Sha256};

use super::problem::Problem;
use crate::web::Web;

const INDEX: &str = "index.html";
/// Stands for the version in files that name others.
const VERSION: &str = "{version}";
const FOR_EVER: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");
const ASK_AGAIN: HeaderValue = HeaderValue::from_static("no-cache");

#[derive(RustEmbed)]
#[folder = "page/"]
struct Page;

/// The page's files.
pub(crate) struct Assets {
    version: String,
    etag: HeaderValue,
    files: BTreeMap<Cow<'static, str>, Asset>,
}

struct Asset {
    media_type: &'static str,
    content: axum::body::Bytes,
}

/// The page.
pub(super) async fn index(State(web): State<Arc<Web>>, headers: HeaderMap) -> Response {
    web.assets.answer(INDEX, ASK_AGAIN, &headers)
}

/// One of its files.
pub(super) async fn file(
    State(web): State<Arc<Web>>,
    Path((version, name)): Path<(String, String)>,
    headers: HeaderMap,
) -> Response {
    // A page of an earlier version gets what there is now, and must not keep it as the earlier.
    let cache = if version == web.assets.version {
        FOR_EVER
    } else {
        ASK_AGAIN
    };
    web.assets.answer(&name, cache, &headers)
}

// === impl Assets ===

impl Assets {
    /// Reads the files of the binary.
    pub(crate) fn load() -> Self {
        let embedded: BTreeMap<_, _> = Page::iter()
            .filter_map(|name| Page::get(&name).map(|file| (name, file)))
            .collect();
        let mut hash = Sha256::new();
        for (name, file) in &embedded {
            hash.update(name.as_bytes());
            hash.update(file.metadata.sha256_hash());
        }
        let version = hash.finalize()[..8]
            .iter()
            .fold(String::new(), |mut version, byte| {
                let _ = write!(version, "{byte:02x}");
                version
            });
        let files = embedded
            .into_iter()
            .map(|(name, file)| {
                let asset = Asset {
                    media_type: media_type(&name),
                    content: fill_in(&file.data, &version).into(),
                };
                (name, asset)
            })
            .collect();
        Self {
            etag: HeaderValue::try_from(format!("\"{version}\"")).expect("hexadecimal digits"),
            version,
            files,
        }
    }

    /// The version of the page.
    pub(crate) fn version(&self) -> &str {
        &self.version
    }

    fn answer(&self, name: &str, cache: HeaderValue, headers: &HeaderMap) -> Response {
        let Some(asset) = self.files.get(name) else {
            return Problem::not_found().into_response();
        };
        let about = [
            (header::CACHE_CONTROL, cache),
            (header::ETAG, self.etag.clone()),
        ];
        if headers.get(header::IF_NONE_MATCH) == Some(&self.etag) {
            return (StatusCode::NOT_MODIFIED, about).into_response();
        }
        let media_type = HeaderValue::from_static(asset.media_type);
        let content = asset.content.clone();
        (about, [(header::CONTENT_TYPE, media_type)], content).into_response()
    }
}

fn fill_in(content: &[u8], version: &str) -> Vec<u8> {
    match std::str::from_utf8(content) {
        Ok(text) => text.replace(VERSION, version).into_bytes(),
        Err(_) => content.to_vec(),
    }
}

fn media_type(name: &str) -> &'static str {
    match name.rsplit('.').next().unwrap_or_default() {
        "html" => "text/html; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "js" => "text/javascript; charset=utf-8",
        "svg" => "image/svg+xml",
        "webmanifest" => "application/manifest+json",
        _ => "application/octet-stream",
    }
}
