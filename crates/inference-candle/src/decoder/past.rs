//! What a sequence remembers of its tokens: keys and values of every layer.
//!
//! Memory is taken in blocks and written in place.
//!
//! Invariant: the first `tokens` places of every layer are computed from the sequence's first
//! tokens and nothing else; what lies behind them is never read.

use candle_core::{DType, Device, Result, Tensor};

use super::architecture::Architecture;

/// Places are taken by whole blocks of so many.
const BLOCK: usize = 64;

/// Keys and values of one sequence.
#[derive(Debug)]
pub struct Past {
    layers: Vec<Layer>,
    tokens: usize,
    places: usize,
    kv_heads: usize,
    head_dim: usize,
    device: Device,
}

/// `[heads, places, width]`; nothing before the first token.
#[derive(Debug, Default)]
struct Layer {
    keys: Option<Tensor>,
    values: Option<Tensor>,
}

// === impl Past ===

impl Past {
    /// Remembers nothing yet.
    pub fn new(architecture: &Architecture, device: &Device) -> Self {
        Self {
            layers: (0..architecture.layers).map(|_| Layer::default()).collect(),
            tokens: 0,
            places: 0,
            kv_heads: architecture.kv_heads,
            head_dim: architecture.head_dim,
            device: device.clone(),
        }
    }

    /// How many tokens it remembers.
    pub fn tokens(&self) -> usize {
        self.tokens
    }

    /// The memory it holds.
    pub fn bytes(&self) -> usize {
        self.places * self.layers.len() * self.kv_heads * self.head_dim * 2 * size_of::<f32>()
    }

    /// Forgets all but the first tokens.
    pub fn truncate(&mut self, tokens: usize) {
        self.tokens = self.tokens.min(tokens);
    }

    /// A copy that remembers the first tokens only.
    pub fn fork(&self, tokens: usize) -> Result<Self> {
        let tokens = tokens.min(self.tokens);
        let mut copy = Self {
            layers: self.layers.iter().map(|_| Layer::default()).collect(),
            tokens: 0,
            places: 0,
            device: self.device.clone(),
            ..*self
        };
        if tokens > 0 {
            copy.reserve(tokens)?;
            for (to, from) in copy.layers.iter().zip(&self.layers) {
                for (to, from) in [(&to.keys, &from.keys), (&to.values, &from.values)] {
                    if let (Some(to), Some(from)) = (to, from) {
                        to.slice_set(&from.narrow(1, 0, tokens)?.contiguous()?, 1, 0)?;
                    }
                }
            }
            copy.tokens = tokens;
        }
        Ok(copy)
    }

    /// Makes room for so many tokens in all.
    pub(super) fn reserve(&mut self, tokens: usize) -> Result<()> {
        if tokens <= self.places {
            return Ok(());
        }
        // A quarter more each time, so that all the copying stays in proportion.
        let places = tokens.max(self.places + self.places / 4).div_ceil(BLOCK) * BLOCK;
        let shape = (self.kv_heads, places, self.head_dim);
        for layer in &mut self.layers {
            for half in [&mut layer.keys, &mut layer.values] {
                let wider = Tensor::zeros(shape, DType::F32, &self.device)?;
                if let Some(narrow) = half.take().filter(|_| self.tokens > 0) {
                    wider.slice_set(&narrow.narrow(1, 0, self.tokens)?.contiguous()?, 1, 0)?;
                }
                *half = Some(wider);
            }
        }
        self.places = places;
        Ok(())
    }

    /// Writes a layer's next keys and values, `[rows, heads, width]` each, behind what is
    /// remembered, and returns all from `first` on.
    pub(super) fn extend(
        &self,
        layer: usize,
        (keys, values): (&Tensor, &Tensor),
        first: usize,
    ) -> Result<(Tensor, Tensor)> {
        let rows = keys.dim(0)?;
        let write = |half: &Option<Tensor>, new: &Tensor| {
            let half = half.as_ref().expect("room was made before");
            half.slice_set(&new.transpose(0, 1)?.contiguous()?, 1, self.tokens)?;
            half.narrow(1, first, self.tokens + rows - first)
        };
        let layer = &self.layers[layer];
        Ok((write(&layer.keys, keys)?, write(&layer.values, values)?))
    }

    /// Counts rows that were written to every layer.
    pub(super) fn advance(&mut self, rows: usize) {
        self.tokens += rows;
    }
}
