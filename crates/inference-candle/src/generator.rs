//! The generator that runs in this process.

use std::fs;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use async_trait::async_trait;
use candle_core::Device;
use futures::Stream;
use tertulia_domain::ModelName;
use tertulia_inference::{
    Chunk, GenerateError, Generator, ModelInfo, Prompt, PromptMessage, Request, TextStream,
};
use tokio::sync::mpsc;

use crate::ModelFileError;
use crate::decoder::Decoder;
use crate::decoder::architecture;
use crate::device;
use crate::engine::{Engine, Event, Failure, Job, Limits, Refusal};
use crate::template::ChatTemplate;
use crate::tokenizer::Tokenizer;
use crate::weights::Weights;

/// Where a model's files are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelFiles {
    /// A `.gguf` file, or a folder with `config.json`, `*.safetensors` and `tokenizer.json`.
    pub path: PathBuf,
}

/// How a model runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// `auto`, `cpu`, `cuda:N` or `metal`.
    pub device: String,
    /// The most tokens of prompt and answer together; the model's own limit if that is lower.
    pub context: usize,
    /// Answers that grow together.
    pub slots: usize,
    /// Memory for what conversations leave behind and running ones need.
    pub cache_bytes: usize,
    /// Threads for the arithmetic; all cores if `None`.
    ///
    /// They are the process's own: the first model decides.
    pub threads: Option<usize>,
}

/// A local model.
///
/// Dropping it lets running answers finish; the last one ends the engine's thread.
#[derive(Debug)]
pub struct Candle {
    name: ModelName,
    context: usize,
    reader: Arc<Reader>,
    engine: Arc<Engine>,
}

/// Turns prompts into tokens.
#[derive(Debug)]
struct Reader {
    tokenizer: Arc<Tokenizer>,
    template: ChatTemplate,
}

/// An answer on its way; keeps the engine alive.
struct Answer {
    events: mpsc::Receiver<Result<Event, Failure>>,
    model: ModelName,
    ended: bool,
    _engine: Arc<Engine>,
}

// === impl Options ===

impl Default for Options {
    fn default() -> Self {
        Self {
            device: "auto".to_owned(),
            context: 4096,
            slots: 16,
            cache_bytes: 1 << 30,
            threads: None,
        }
    }
}

// === impl Candle ===

impl Candle {
    /// Reads the files and starts the engine; takes as long as reading the file does.
    ///
    /// # Errors
    /// When a file is missing, damaged or of an unknown kind, or the device cannot be used.
    pub fn load(
        name: ModelName,
        files: &ModelFiles,
        options: &Options,
    ) -> Result<Self, ModelFileError> {
        let device = device::open(&options.device)?;
        if let Some(threads) = options.threads {
            device::limit_threads(threads);
        }
        let started = std::time::Instant::now();
        let path = files.path.as_path();
        // A panic while reading would come from content that nobody thought of.
        let read = || {
            if path.is_dir() {
                read_folder(path, &device)
            } else {
                read_gguf(path, options.context, &device)
            }
        };
        let (decoder, reader) = std::panic::catch_unwind(std::panic::AssertUnwindSafe(read))
            .unwrap_or_else(|_| Err(ModelFileError::broken("its content makes no sense")))
            .map_err(|error| error.at(path))?;

        let context = options.context.min(decoder.architecture().context);
        let limits = Limits {
            name: name.to_string(),
            context,
            slots: options.slots.max(1),
            cache_bytes: options.cache_bytes,
        };
        let family = decoder.architecture().family;
        let engine = Engine::start(decoder, Arc::clone(&reader.tokenizer) as _, limits).map_err(
            |source| ModelFileError::Unreadable {
                file: path.to_owned(),
                source,
            },
        )?;
        tracing::info!(model = %name, ?family, context, took = ?started.elapsed(), "model loaded");
        Ok(Self {
            name,
            context,
            reader: Arc::new(reader),
            engine: Arc::new(engine),
        })
    }

    /// Hands over a prompt that is tokens already.
    pub(crate) fn submit(
        &self,
        prompt: Vec<u32>,
        request: &Request,
    ) -> Result<TextStream, GenerateError> {
        // The answer needs room for one token at least.
        let limit = self.context.saturating_sub(1);
        if prompt.is_empty() || prompt.len() > limit {
            return Err(GenerateError::TooLong {
                tokens: prompt.len(),
                limit,
            });
        }
        let tokens_max = request.max_tokens().min(self.context - prompt.len());
        let (sender, events) = mpsc::channel(tokens_max + 2);
        let mut sampling = request.sampling().clone();
        sampling
            .stop
            .extend_from_slice(self.reader.template.stops());
        let job = Job {
            prompt,
            tokens_max,
            sampling,
            conversation: request.cache(),
            background: request.background(),
            events: sender,
        };
        self.engine.submit(job).map_err(|refusal| match refusal {
            Refusal::Full => GenerateError::Transient {
                after: None,
                source: "too many answers are being waited for".into(),
            },
            Refusal::OutOfOrder => GenerateError::OutOfOrder("the model failed too often".into()),
        })?;
        Ok(Box::pin(Answer {
            events,
            model: self.name.clone(),
            ended: false,
            _engine: Arc::clone(&self.engine),
        }))
    }

    /// Tokens that the model knows.
    pub(crate) fn vocabulary(&self) -> usize {
        self.reader.tokenizer.vocab_size()
    }
}

#[async_trait]
impl Generator for Candle {
    fn info(&self) -> ModelInfo {
        ModelInfo {
            name: self.name.clone(),
            context: self.context,
            local: true,
        }
    }

    fn count_tokens(&self, prompt: &Prompt) -> usize {
        self.reader.tokens(prompt).map_or(0, |tokens| tokens.len())
    }

    async fn generate(&self, request: Request) -> Result<TextStream, GenerateError> {
        let reader = Arc::clone(&self.reader);
        let prompt = request.prompt().clone();
        // A long prompt takes milliseconds; other tasks need not wait for them.
        let tokens = tokio::task::spawn_blocking(move || reader.tokens(&prompt))
            .await
            .map_err(|error| GenerateError::OutOfOrder(Box::new(error)))?
            .map_err(GenerateError::OutOfOrder)?;
        self.submit(tokens, &request)
    }
}

// === impl Reader ===

impl Reader {
    fn tokens(&self, prompt: &Prompt) -> Result<Vec<u32>, Failure> {
        // What people write must not become a control token.
        let safe = Prompt {
            system: self.tokenizer.defuse(&prompt.system).into_owned(),
            messages: prompt
                .messages
                .iter()
                .map(|message| PromptMessage {
                    role: message.role,
                    text: self.tokenizer.defuse(&message.text).into_owned(),
                })
                .collect(),
        };
        let text = self.template.render(&safe)?;
        Ok(self.tokenizer.encode_prompt(&text))
    }
}

// === impl Answer ===

impl Stream for Answer {
    type Item = Result<Chunk, GenerateError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.ended {
            return Poll::Ready(None);
        }
        let item = match ready!(self.events.poll_recv(cx)) {
            Some(Ok(Event::Text(text))) => return Poll::Ready(Some(Ok(Chunk::Text(text)))),
            Some(Ok(Event::Done { finish, tokens })) => Ok(Chunk::Done {
                finish,
                tokens,
                model: self.model.clone(),
            }),
            Some(Err(failure)) => Err(GenerateError::OutOfOrder(failure)),
            None => Err(GenerateError::OutOfOrder("the engine has ended".into())),
        };
        self.ended = true;
        Poll::Ready(Some(item))
    }
}

fn read_gguf(
    path: &Path,
    context: usize,
    device: &Device,
) -> Result<(Decoder, Reader), ModelFileError> {
    let (mut weights, content) = Weights::open_gguf(path, device)?;
    let shape = architecture::from_gguf(&content, &mut weights, Some(context))?;
    let tokenizer = Arc::new(Tokenizer::from_gguf(&content)?);
    let (bos, eos) = ends(&tokenizer);
    let template = ChatTemplate::from_gguf(&content, &bos, &eos)?;
    let template = template.unwrap_or_else(ChatTemplate::transcript);
    let decoder = Decoder::load(shape, weights, device)?;
    Ok((
        decoder,
        Reader {
            tokenizer,
            template,
        },
    ))
}

fn read_folder(folder: &Path, device: &Device) -> Result<(Decoder, Reader), ModelFileError> {
    let tokenizer = Arc::new(Tokenizer::from_file(&folder.join("tokenizer.json"))?);
    let (bos, eos) = ends(&tokenizer);
    let template = match template_source(folder) {
        Some(source) => ChatTemplate::new(&source, &bos, &eos)
            .map_err(|error| ModelFileError::broken(format!("its chat template: {error}")))?,
        None => ChatTemplate::transcript(),
    };
    let decoder = Decoder::open_folder(folder, device)?;
    Ok((
        decoder,
        Reader {
            tokenizer,
            template,
        },
    ))
}

/// The chat template of a folder: a file of its own, or a value among the tokenizer's.
fn template_source(folder: &Path) -> Option<String> {
    fs::read_to_string(folder.join("chat_template.jinja"))
        .ok()
        .or_else(|| {
            let config = fs::read_to_string(folder.join("tokenizer_config.json")).ok()?;
            let config: serde_json::Value = serde_json::from_str(&config).ok()?;
            config.get("chat_template")?.as_str().map(str::to_owned)
        })
}

/// The texts of the tokens that begin and end a text.
fn ends(tokenizer: &Tokenizer) -> (String, String) {
    let text = |token: Option<u32>| {
        token
            .map(|token| tokenizer.token_text(token).into_owned())
            .unwrap_or_default()
    };
    (text(tokenizer.bos()), text(tokenizer.eos()))
}

#[cfg(test)]
mod tests;
