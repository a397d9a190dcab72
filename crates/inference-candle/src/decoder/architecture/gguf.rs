//! The description of a decoder in the metadata of a GGUF file.

use candle_core::quantized::gguf_file::{Content, Value};

use super::{Architecture, Family, Rope, Window};
use crate::ModelFileError;
use crate::weights::Weights;

/// Reads the description of the decoder.
pub fn from_gguf(
    content: &Content,
    weights: &mut Weights,
    context: Option<usize>,
) -> Result<Architecture, ModelFileError> {
    let Some(Value::String(name)) = content.metadata.get("general.architecture") else {
        return Err(ModelFileError::broken(
            "key general.architecture is missing",
        ));
    };
    let family = Family::named(name)?;
    let keys = Keys {
        content,
        prefix: name,
    };
    let hidden = keys.size("embedding_length")?;
    let heads = keys.size("attention.head_count")?;
    let kv_heads = keys
        .optional_size("attention.head_count_kv")?
        .unwrap_or(heads);
    let head_dim = match keys.optional_size("attention.key_length")? {
        Some(width) => width,
        None => hidden.checked_div(heads).unwrap_or(0),
    };
    if keys
        .optional_size("attention.value_length")?
        .is_some_and(|width| width != head_dim)
    {
        return Err(ModelFileError::unsupported(
            "heads whose values are not as wide as their keys",
        ));
    }
    if keys
        .optional_size("expert_count")?
        .is_some_and(|count| count > 0)
    {
        return Err(ModelFileError::unsupported("a mixture of experts"));
    }
    let layers = keys.size("block_count")?;
    let trained = keys.size("context_length")?;
    let dims = keys
        .optional_size("rope.dimension_count")?
        .unwrap_or(head_dim);
    let base = keys.number("rope.freq_base")?.unwrap_or(10_000.0);
    let vocabulary = weights
        .dims("token_embd.weight")
        .and_then(|dims| dims.first().copied())
        .ok_or_else(|| ModelFileError::broken("tensor token_embd.weight is missing"))?;

    let mut rope = Rope::plain(dims, base);
    scale(&mut rope, &keys, weights, (trained, context))?;
    let window = keys
        .optional_size("attention.sliding_window")?
        .filter(|&size| size > 0);
    let gemma = family == Family::Gemma3;
    // The one of the family with 62 layers scales by the width per head instead.
    let query_dim = if gemma && layers == 62 {
        hidden.checked_div(heads).unwrap_or(0)
    } else {
        head_dim
    };
    Architecture {
        family,
        vocabulary,
        hidden,
        layers,
        heads,
        kv_heads,
        head_dim,
        feed_forward: keys.size("feed_forward_length")?,
        context: trained,
        norm_eps: keys
            .number("attention.layer_norm_rms_epsilon")?
            .unwrap_or(1e-5) as f32,
        rope,
        local_rope: gemma.then(|| Rope::plain(dims, 10_000.0)),
        window: window.map(|size| Window {
            size,
            global_every: if gemma { 6 } else { 0 },
        }),
        attention_scale: (query_dim as f32).sqrt().recip(),
        embedding_scale: if gemma { (hidden as f32).sqrt() } else { 1.0 },
        woven: family == Family::Llama,
        norm_offset: false,
    }
    .checked()
}

fn scale(
    rope: &mut Rope,
    keys: &Keys<'_>,
    weights: &mut Weights,
    (trained, context): (usize, Option<usize>),
) -> Result<(), ModelFileError> {
    let pairs = rope.dims / 2;
    let original = keys.optional_size("rope.scaling.original_context_length")?;
    let long = original.is_some_and(|original| context.unwrap_or(trained) > original);
    let tables = [
        "rope_freqs.weight",
        if long {
            "rope_factors_long.weight"
        } else {
            "rope_factors_short.weight"
        },
    ];
    if let Some(table) = tables.into_iter().find(|table| weights.has(table)) {
        rope.factors = weights
            .vector(table, pairs)?
            .to_vec1::<f32>()
            .map_err(|error| ModelFileError::broken(error.to_string()))?
            .into_iter()
            .map(f64::from)
            .collect();
        rope.magnitude = keys.number("rope.scaling.attn_factor")?.unwrap_or(1.0);
        return Ok(());
    }
    match keys.text("rope.scaling.type") {
        None | Some("none") => Ok(()),
        Some("linear") => {
            let factor = keys.number("rope.scaling.factor")?.unwrap_or(1.0);
            rope.factors = vec![factor; pairs];
            Ok(())
        }
        Some(other) => Err(ModelFileError::unsupported(format!(
            "rope scaling {other:?}"
        ))),
    }
}

/// The metadata below the prefix of the architecture.
struct Keys<'a> {
    content: &'a Content,
    prefix: &'a str,
}

// === impl Keys ===

impl Keys<'_> {
    fn get(&self, key: &str) -> Option<&Value> {
        self.content.metadata.get(&format!("{}.{key}", self.prefix))
    }

    fn size(&self, key: &str) -> Result<usize, ModelFileError> {
        self.optional_size(key)?
            .ok_or_else(|| ModelFileError::broken(format!("key {}.{key} is missing", self.prefix)))
    }

    fn optional_size(&self, key: &str) -> Result<Option<usize>, ModelFileError> {
        let wrong = || ModelFileError::broken(format!("key {}.{key} is no size", self.prefix));
        Ok(Some(match self.get(key) {
            None => return Ok(None),
            Some(&Value::I32(number)) => usize::try_from(number).map_err(|_| wrong())?,
            Some(value) => {
                let number = value.to_u64().map_err(|_| wrong())?;
                usize::try_from(number).map_err(|_| wrong())?
            }
        }))
    }

    fn number(&self, key: &str) -> Result<Option<f64>, ModelFileError> {
        match self.get(key) {
            None => Ok(None),
            Some(Value::F32(number)) => Ok(Some(f64::from(*number))),
            Some(Value::F64(number)) => Ok(Some(*number)),
            Some(_) => Err(ModelFileError::broken(format!(
                "key {}.{key} is no number",
                self.prefix
            ))),
        }
    }

    fn text(&self, key: &str) -> Option<&str> {
        match self.get(key) {
            Some(Value::String(text)) => Some(text),
            _ => None,
        }
    }
}
