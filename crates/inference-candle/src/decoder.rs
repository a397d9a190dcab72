//! The decoder: from tokens and what was before them to the scores of the next token.
//!
//! One forward pass serves all families (see [`Architecture`]) and a batch of sequences, each at
//! its own place.
//! The matrices see the rows of all sequences at once, so the weights are read once per step;
//! attention is computed per sequence against its own [`Past`].
//!
//! Invariant: a sequence's scores depend on its own tokens only.

pub mod architecture;
mod ops;
mod past;

use std::path::Path;

use candle_core::{Device, Result, Tensor};

use self::architecture::{Activation, Architecture, Rope};
use self::ops::Sight;
use crate::ModelFileError;
use crate::weights::{Matrix, Take, Weights};

pub use past::Past;

/// A loaded decoder.
#[derive(Debug)]
pub struct Decoder {
    architecture: Architecture,
    activation: Activation,
    embedding: Matrix,
    layers: Vec<Layer>,
    norm: Tensor,
    head: Matrix,
    frequencies: Vec<f64>,
    local_frequencies: Option<Vec<f64>>,
    device: Device,
}

/// One sequence's part of a step.
#[derive(Debug)]
pub struct Input<'a, P = Past> {
    /// What it remembers; the tokens are added to it.
    pub past: &'a mut P,
    /// Its next tokens; not empty.
    pub tokens: &'a [u32],
    /// For how many of the last of them the scores of what follows are wanted.
    pub logits: usize,
}

#[derive(Debug)]
struct Layer {
    attention_norm: Tensor,
    query: Linear,
    key: Linear,
    value: Linear,
    output: Linear,
    query_norm: Option<Tensor>,
    key_norm: Option<Tensor>,
    attention_post_norm: Option<Tensor>,
    feed_norm: Tensor,
    gate: Matrix,
    up: Matrix,
    down: Matrix,
    feed_post_norm: Option<Tensor>,
    window: Option<usize>,
}

#[derive(Debug)]
struct Linear {
    matrix: Matrix,
    bias: Option<Tensor>,
}

/// Sines and cosines of one step's rows.
struct Angles {
    cos: Tensor,
    sin: Tensor,
}

// === impl Decoder ===

impl Decoder {
    /// Reads the weights that the architecture asks for.
    pub fn load(
        architecture: Architecture,
        mut weights: Weights,
        device: &Device,
    ) -> std::result::Result<Self, ModelFileError> {
        let traits = architecture.family.traits();
        let (vocabulary, hidden) = (architecture.vocabulary, architecture.hidden);
        let table = (vocabulary, hidden);
        let embedding = weights.matrix("token_embd.weight", table, &Take::default())?;
        let head = if weights.has("output.weight") {
            weights.matrix("output.weight", table, &Take::default())?
        } else {
            embedding.clone()
        };
        let mut loader = Loader {
            architecture: &architecture,
            weights,
        };
        let norm = loader.norm("output_norm.weight", hidden)?;
        let layers = (0..architecture.layers)
            .map(|i| loader.layer(i))
            .collect::<std::result::Result<_, _>>()?;
        Ok(Self {
            activation: traits.activation,
            embedding,
            layers,
            norm,
            head,
            frequencies: architecture.rope.frequencies(),
            local_frequencies: architecture.local_rope.as_ref().map(Rope::frequencies),
            device: device.clone(),
            architecture,
        })
    }

    /// Opens and reads a GGUF file.
    pub fn open_gguf(
        path: &Path,
        context: Option<usize>,
        device: &Device,
    ) -> std::result::Result<Self, ModelFileError> {
        let (mut weights, content) = Weights::open_gguf(path, device)?;
        architecture::from_gguf(&content, &mut weights, context)
            .and_then(|architecture| Self::load(architecture, weights, device))
            .map_err(|error| error.at(path))
    }

    /// Opens and reads a folder with `config.json` and safetensors.
    pub fn open_folder(
        folder: &Path,
        device: &Device,
    ) -> std::result::Result<Self, ModelFileError> {
        let config = folder.join("config.json");
        let json =
            std::fs::read_to_string(&config).map_err(|source| ModelFileError::Unreadable {
                file: config.clone(),
                source,
            })?;
        let architecture = architecture::from_config(&json).map_err(|error| error.at(&config))?;
        let weights = Weights::open_folder(folder, device)?;
        Self::load(architecture, weights, device).map_err(|error| error.at(folder))
    }

    /// What it looks like.
    pub fn architecture(&self) -> &Architecture {
        &self.architecture
    }

    /// The memory of a sequence that has not begun.
    pub fn empty(&self) -> Past {
        Past::new(&self.architecture, &self.device)
    }

    /// Computes all inputs' next tokens and returns the scores that are wanted, input by input
    /// and row by row.
    ///
    /// # Errors
    /// When the device fails or a token is not in the vocabulary; then no sequence has moved.
    pub fn step(&self, inputs: &mut [Input<'_>]) -> Result<Vec<Vec<Vec<f32>>>> {
        // On a thread of the pool itself, the many small parallel pieces begin without a wait.
        rayon::scope(|_| self.step_here(inputs))
    }

    fn step_here(&self, inputs: &mut [Input<'_>]) -> Result<Vec<Vec<Vec<f32>>>> {
        let tokens: Vec<u32> = inputs
            .iter()
            .flat_map(|input| input.tokens)
            .copied()
            .collect();
        if tokens
            .iter()
            .any(|&token| token as usize >= self.architecture.vocabulary)
        {
            candle_core::bail!("a token is not in the vocabulary");
        }
        let positions: Vec<usize> = inputs
            .iter()
            .flat_map(|input| (0..input.tokens.len()).map(|row| input.past.tokens() + row))
            .collect();
        for input in &mut *inputs {
            input
                .past
                .reserve(input.past.tokens() + input.tokens.len())?;
        }
        let rope = &self.architecture.rope;
        let wide = self.angles(&positions, &self.frequencies, rope.magnitude)?;
        let local = match &self.local_frequencies {
            Some(frequencies) => Some(self.angles(&positions, frequencies, 1.0)?),
            None => None,
        };

        let count = tokens.len();
        let mut rows = self
            .embedding
            .lookup(&Tensor::from_vec(tokens, count, &self.device)?)?;
        if (self.architecture.embedding_scale - 1.0).abs() > f32::EPSILON {
            rows = (rows * f64::from(self.architecture.embedding_scale))?;
        }
        for (index, layer) in self.layers.iter().enumerate() {
            let angles = match (&local, layer.window) {
                (Some(local), Some(_)) => local,
                _ => &wide,
            };
            rows = self.layer(index, layer, &rows, angles, inputs)?;
        }
        let scores = self.scores(&rows, inputs)?;
        for input in inputs {
            input.past.advance(input.tokens.len());
        }
        Ok(scores)
    }

    fn angles(&self, positions: &[usize], frequencies: &[f64], magnitude: f64) -> Result<Angles> {
        let (cos, sin) = ops::angles(positions, frequencies, magnitude, &self.device)?;
        Ok(Angles { cos, sin })
    }

    fn layer(
        &self,
        index: usize,
        layer: &Layer,
        rows: &Tensor,
        angles: &Angles,
        inputs: &[Input<'_>],
    ) -> Result<Tensor> {
        let normal = self.normal(rows, &layer.attention_norm)?;
        let seen = self.attend(index, layer, &normal, angles, inputs)?;
        let mut change = layer.output.forward(&seen)?;
        if let Some(norm) = &layer.attention_post_norm {
            change = self.normal(&change, norm)?;
        }
        let rows = (rows + change)?;
        let normal = self.normal(&rows, &layer.feed_norm)?;
        let (gate, up) = (layer.gate.forward(&normal)?, layer.up.forward(&normal)?);
        let mut change = layer
            .down
            .forward(&ops::gated(&gate, &up, self.activation)?)?;
        if let Some(norm) = &layer.feed_post_norm {
            change = self.normal(&change, norm)?;
        }
        rows + change
    }

    fn attend(
        &self,
        index: usize,
        layer: &Layer,
        rows: &Tensor,
        angles: &Angles,
        inputs: &[Input<'_>],
    ) -> Result<Tensor> {
        let shape = &self.architecture;
        let split = |rows: Tensor, heads| {
            let count = rows.dim(0)?;
            rows.reshape((count, heads, shape.head_dim))
        };
        let mut queries = split(layer.query.forward(rows)?, shape.heads)?;
        let mut keys = split(layer.key.forward(rows)?, shape.kv_heads)?;
        let values = split(layer.value.forward(rows)?, shape.kv_heads)?;
        if let Some(norm) = &layer.query_norm {
            queries = self.normal(&queries, norm)?;
        }
        if let Some(norm) = &layer.key_norm {
            keys = self.normal(&keys, norm)?;
        }
        let queries = ops::rotate(&queries, &angles.cos, &angles.sin)?;
        let keys = ops::rotate(&keys, &angles.cos, &angles.sin)?;

        let mut seen = Vec::with_capacity(inputs.len());
        let mut start = 0;
        for input in inputs {
            let rows = input.tokens.len();
            let part = |of: &Tensor| of.narrow(0, start, rows);
            let own = (&part(&keys)?, &part(&values)?);
            seen.push(self.attend_one(index, layer.window, &part(&queries)?, own, input.past)?);
            start += rows;
        }
        if seen.len() == 1 {
            Ok(seen.remove(0))
        } else {
            Tensor::cat(&seen, 0)
        }
    }

    /// Lets one sequence's queries look at its past and at themselves.
    fn attend_one(
        &self,
        index: usize,
        window: Option<usize>,
        queries: &Tensor,
        own: (&Tensor, &Tensor),
        past: &Past,
    ) -> Result<Tensor> {
        let shape = &self.architecture;
        let (rows, width) = (queries.dim(0)?, shape.head_dim);
        let group = shape.heads / shape.kv_heads;
        let window = window.unwrap_or(usize::MAX);
        // What lies before the first query's window, no query sees.
        let first = (past.tokens() + 1).saturating_sub(window);
        let (keys, values) = past.extend(index, own, first)?;
        let queries = queries
            .reshape((rows, shape.kv_heads, group, width))?
            .permute((1, 2, 0, 3))?
            .reshape((shape.kv_heads, group * rows, width))?;
        let scores = queries.matmul(&keys.t()?)?;
        let sight = Sight {
            rows,
            first: past.tokens() - first,
            window,
            scale: shape.attention_scale,
        };
        let shares = ops::attention_shares(scores, sight)?;
        shares
            .matmul(&values)?
            .reshape((shape.kv_heads, group, rows, width))?
            .permute((2, 0, 1, 3))?
            .reshape((rows, shape.q_width()))
    }

    fn scores(&self, rows: &Tensor, inputs: &[Input<'_>]) -> Result<Vec<Vec<Vec<f32>>>> {
        let (mut wanted, mut start) = (Vec::new(), 0);
        for input in inputs {
            let end = start + input.tokens.len();
            wanted.extend((end - input.logits.min(input.tokens.len())..end).map(|row| row as u32));
            start = end;
        }
        let mut scores = Vec::new();
        if !wanted.is_empty() {
            let count = wanted.len();
            let wanted = Tensor::from_vec(wanted, count, &self.device)?;
            let rows = self.normal(&rows.index_select(&wanted, 0)?, &self.norm)?;
            scores = self.head.forward(&rows)?.to_vec2::<f32>()?;
        }
        let mut scores = scores.into_iter();
        Ok(inputs
            .iter()
            .map(|input| {
                scores
                    .by_ref()
                    .take(input.logits.min(input.tokens.len()))
                    .collect()
            })
            .collect())
    }

    fn normal(&self, rows: &Tensor, weights: &Tensor) -> Result<Tensor> {
        ops::rms_norm(rows, weights, self.architecture.norm_eps)
    }
}

// === impl Linear ===

impl Linear {
    fn forward(&self, rows: &Tensor) -> Result<Tensor> {
        let out = self.matrix.forward(rows)?;
        match &self.bias {
            Some(bias) => out.broadcast_add(bias),
            None => Ok(out),
        }
    }
}

/// Reads layers as the architecture says.
struct Loader<'a> {
    architecture: &'a Architecture,
    weights: Weights,
}

// === impl Loader ===

impl Loader<'_> {
    fn layer(&mut self, index: usize) -> std::result::Result<Layer, ModelFileError> {
        let shape = self.architecture;
        let traits = shape.family.traits();
        let (hidden, feed) = (shape.hidden, shape.feed_forward);
        let (q, kv) = (shape.q_width(), shape.kv_width());
        let name = |part: &str| format!("blk.{index}.{part}");
        let woven = |heads: usize| shape.woven.then_some(heads);
        let rows = |start: usize, len: usize| Some(start..start + len);

        let [query, key, value] = if traits.fused {
            [(0, q), (q, kv), (q + kv, kv)].map(|(start, len)| {
                (
                    name("attn_qkv"),
                    len,
                    Take {
                        rows: rows(start, len),
                        unweave: None,
                    },
                )
            })
        } else {
            [
                ("attn_q", q, woven(shape.heads)),
                ("attn_k", kv, woven(shape.kv_heads)),
                ("attn_v", kv, None),
            ]
            .map(|(part, len, unweave)| {
                (
                    name(part),
                    len,
                    Take {
                        rows: None,
                        unweave,
                    },
                )
            })
        };
        let query = self.linear(&query.0, (query.1, hidden), &query.2)?;
        let key = self.linear(&key.0, (key.1, hidden), &key.2)?;
        let value = self.linear(&value.0, (value.1, hidden), &value.2)?;
        let output = self.linear(&name("attn_output"), (hidden, q), &Take::default())?;

        let (gate, up) = if traits.fused {
            let half = |start| Take {
                rows: rows(start, feed),
                unweave: None,
            };
            let fused = name("ffn_up.weight");
            (
                self.weights.matrix(&fused, (feed, hidden), &half(0))?,
                self.weights.matrix(&fused, (feed, hidden), &half(feed))?,
            )
        } else {
            let mut whole = |part| {
                self.weights
                    .matrix(&name(part), (feed, hidden), &Take::default())
            };
            (whole("ffn_gate.weight")?, whole("ffn_up.weight")?)
        };
        let down =
            self.weights
                .matrix(&name("ffn_down.weight"), (hidden, feed), &Take::default())?;
        // Outside of Gemma, the Hugging Face layout calls the norm before the feed-forward part
        // the norm after attention.
        let feed_norm = if traits.post_norms || self.weights.has(&name("ffn_norm.weight")) {
            name("ffn_norm.weight")
        } else {
            name("post_attention_norm.weight")
        };
        let mut optional = |there: bool, part: &str, len: usize| {
            there.then(|| self.norm(&name(part), len)).transpose()
        };
        Ok(Layer {
            query_norm: optional(traits.qk_norm, "attn_q_norm.weight", shape.head_dim)?,
            key_norm: optional(traits.qk_norm, "attn_k_norm.weight", shape.head_dim)?,
            attention_post_norm: optional(traits.post_norms, "post_attention_norm.weight", hidden)?,
            feed_post_norm: optional(traits.post_norms, "post_ffw_norm.weight", hidden)?,
            attention_norm: self.norm(&name("attn_norm.weight"), hidden)?,
            feed_norm: self.norm(&feed_norm, hidden)?,
            query,
            key,
            value,
            output,
            gate,
            up,
            down,
            window: shape.window_of(index),
        })
    }

    fn linear(
        &mut self,
        name: &str,
        size: (usize, usize),
        take: &Take,
    ) -> std::result::Result<Linear, ModelFileError> {
        let matrix = self.weights.matrix(&format!("{name}.weight"), size, take)?;
        let bias = format!("{name}.bias");
        let bias = if self.weights.has(&bias) {
            Some(self.weights.vector_part(&bias, size.0, take)?)
        } else {
            None
        };
        Ok(Linear { matrix, bias })
    }

    fn norm(&mut self, name: &str, len: usize) -> std::result::Result<Tensor, ModelFileError> {
        let weights = self.weights.vector(name, len)?;
        if !self.architecture.norm_offset {
            return Ok(weights);
        }
        (weights + 1.0).map_err(|error| ModelFileError::broken(error.to_string()))
    }
}

#[cfg(test)]
mod tests;
