//! What a decoder looks like, as data.
//!
//! One description serves all families: they differ in sizes, in a few switches and in which norms
//! and biases are there.
//! To add a family, add a [`Family`], say in [`Family::traits`] what is special about it, and read
//! its numbers in `gguf` and `folder`.
//!
//! Invariant: a description that was checked has sizes that multiply without overflow, heads that
//! divide evenly and finite numbers.

mod folder;
mod gguf;

use crate::ModelFileError;

pub use folder::from_config;
pub use gguf::from_gguf;

/// The shape of a decoder.
#[derive(Clone, Debug, PartialEq)]
pub struct Architecture {
    /// Where it comes from.
    pub family: Family,
    /// Tokens it knows.
    pub vocabulary: usize,
    /// Width of the stream that the layers add to.
    pub hidden: usize,
    /// Number of layers.
    pub layers: usize,
    /// Heads that ask.
    pub heads: usize,
    /// Heads that are asked; they are shared by groups of those that ask.
    pub kv_heads: usize,
    /// Width of a head.
    pub head_dim: usize,
    /// Width of the feed-forward part.
    pub feed_forward: usize,
    /// Tokens it was trained to look back.
    pub context: usize,
    /// Keeps norms from dividing by 0.
    pub norm_eps: f32,
    /// How positions turn queries and keys.
    pub rope: Rope,
    /// The same on layers with a window, where it differs.
    pub local_rope: Option<Rope>,
    /// The layers that look back a limited way.
    pub window: Option<Window>,
    /// Factor on the scores of attention.
    pub attention_scale: f32,
    /// Factor on the embeddings.
    pub embedding_scale: f32,
    /// Whether the weights of queries and keys are stored half-woven (GGUF of the llama family).
    pub woven: bool,
    /// Whether 1 must be added to the weights of norms (Gemma outside of GGUF).
    pub norm_offset: bool,
}

/// Where a decoder comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// Llama, Mistral, SmolLM and what shares their form.
    Llama,
    /// Qwen 2 and 2.5.
    Qwen2,
    /// Qwen 3 without experts.
    Qwen3,
    /// Gemma 3, text only.
    Gemma3,
    /// Phi 3 and 3.5 without experts.
    Phi3,
}

/// What a family always has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Traits {
    /// Queries and keys are normalized head by head.
    pub qk_norm: bool,
    /// The outputs of attention and feed-forward are normalized before they are added.
    pub post_norms: bool,
    /// Queries, keys and values are one matrix, and so are gate and up.
    pub fused: bool,
    /// The gate of the feed-forward part.
    pub activation: Activation,
}

/// The gate of a feed-forward part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    /// `x / (1 + exp(-x))`.
    Silu,
    /// The error-linear unit, approximated by tanh.
    Gelu,
}

/// How positions turn queries and keys.
#[derive(Clone, Debug, PartialEq)]
pub struct Rope {
    /// How many of a head's first values turn.
    pub dims: usize,
    /// The slowest wave's base.
    pub base: f64,
    /// Divides each frequency; empty for all 1.
    pub factors: Vec<f64>,
    /// Factor on sine and cosine.
    pub magnitude: f64,
}

/// Which layers look back how far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Tokens that are seen, the own one included.
    pub size: usize,
    /// Every such layer sees everything; 0 for none.
    pub global_every: usize,
}

// === impl Family ===

impl Family {
    /// What every decoder of the family has.
    pub fn traits(self) -> Traits {
        Traits {
            qk_norm: matches!(self, Self::Qwen3 | Self::Gemma3),
            post_norms: self == Self::Gemma3,
            fused: self == Self::Phi3,
            activation: if self == Self::Gemma3 {
                Activation::Gelu
            } else {
                Activation::Silu
            },
        }
    }

    fn named(name: &str) -> Result<Self, ModelFileError> {
        Ok(match name {
            "llama" | "mistral" => Self::Llama,
            "qwen2" => Self::Qwen2,
            "qwen3" => Self::Qwen3,
            "gemma3" | "gemma3_text" => Self::Gemma3,
            "phi3" => Self::Phi3,
            other => {
                return Err(ModelFileError::unsupported(format!(
                    "architecture {other:?} (known: llama, mistral, qwen2, qwen3, gemma3, phi3)"
                )));
            }
        })
    }
}

// === impl Architecture ===

impl Architecture {
    /// The window of a layer, if it has one.
    pub fn window_of(&self, layer: usize) -> Option<usize> {
        let window = self.window?;
        let global = window.global_every > 0 && (layer + 1).is_multiple_of(window.global_every);
        (!global).then_some(window.size)
    }

    /// Width of all queries of a row.
    pub fn q_width(&self) -> usize {
        self.heads * self.head_dim
    }

    /// Width of all keys, or values, of a row.
    pub fn kv_width(&self) -> usize {
        self.kv_heads * self.head_dim
    }

    /// Refuses sizes that no decoder has.
    fn checked(self) -> Result<Self, ModelFileError> {
        let sizes = [
            ("vocabulary", self.vocabulary, 1 << 22),
            ("hidden width", self.hidden, 1 << 17),
            ("number of layers", self.layers, 1 << 10),
            ("number of heads", self.heads, 1 << 12),
            ("number of key heads", self.kv_heads, 1 << 12),
            ("width of a head", self.head_dim, 1 << 12),
            ("feed-forward width", self.feed_forward, 1 << 20),
            ("context length", self.context, 1 << 26),
        ];
        for (what, size, most) in sizes {
            if size == 0 || size > most {
                return Err(ModelFileError::broken(format!("its {what} is {size}")));
            }
        }
        if !self.heads.is_multiple_of(self.kv_heads) {
            return Err(ModelFileError::broken("its heads do not share keys evenly"));
        }
        for rope in std::iter::once(&self.rope).chain(&self.local_rope) {
            rope.check(self.head_dim)?;
        }
        let numbers = [self.norm_eps, self.attention_scale, self.embedding_scale];
        if numbers.iter().any(|number| !number.is_finite()) || self.norm_eps < 0.0 {
            return Err(ModelFileError::broken("a scale of it is no number"));
        }
        if self.window.is_some_and(|window| window.size == 0) {
            return Err(ModelFileError::broken("its window is 0"));
        }
        Ok(self)
    }
}

// === impl Rope ===

impl Rope {
    /// Turns the whole head at the usual frequencies.
    pub fn plain(dims: usize, base: f64) -> Self {
        Self {
            dims,
            base,
            factors: Vec::new(),
            magnitude: 1.0,
        }
    }

    /// The angle of each pair of values per position.
    pub fn frequencies(&self) -> Vec<f64> {
        (0..self.dims / 2)
            .map(|i| {
                let plain = self.base.powf(-2.0 * i as f64 / self.dims as f64);
                plain / self.factors.get(i).copied().unwrap_or(1.0)
            })
            .collect()
    }

    fn check(&self, head_dim: usize) -> Result<(), ModelFileError> {
        let usual = |number: &f64| number.is_finite() && *number > 0.0;
        if self.dims == 0
            || self.dims > head_dim
            || !self.dims.is_multiple_of(2)
            || !(self.factors.is_empty() || self.factors.len() == self.dims / 2)
            || !usual(&self.base)
            || !usual(&self.magnitude)
            || !self.factors.iter().all(usual)
        {
            return Err(ModelFileError::broken(
                "its rotary embedding makes no sense",
            ));
        }
        Ok(())
    }
}
