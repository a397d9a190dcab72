//! The description of a decoder in a `config.json` of the Hugging Face layout.

use serde::Deserialize;
use serde_json::Value;

use super::{Architecture, Family, Rope, Window};
use crate::ModelFileError;

#[derive(Deserialize)]
struct Config {
    model_type: String,
    vocab_size: usize,
    hidden_size: usize,
    num_hidden_layers: usize,
    num_attention_heads: usize,
    num_key_value_heads: Option<usize>,
    head_dim: Option<usize>,
    intermediate_size: usize,
    max_position_embeddings: usize,
    rms_norm_eps: Option<f32>,
    rope_theta: Option<f64>,
    rope_local_base_freq: Option<f64>,
    rope_scaling: Option<Value>,
    partial_rotary_factor: Option<f64>,
    sliding_window: Option<usize>,
    use_sliding_window: Option<bool>,
    sliding_window_pattern: Option<usize>,
    query_pre_attn_scalar: Option<f32>,
}

#[derive(Deserialize)]
struct Llama3 {
    factor: f64,
    low_freq_factor: f64,
    high_freq_factor: f64,
    original_max_position_embeddings: f64,
}

/// Reads the description of the decoder.
pub fn from_config(json: &str) -> Result<Architecture, ModelFileError> {
    let config: Config = serde_json::from_str(json)
        .map_err(|error| ModelFileError::broken(format!("config.json: {error}")))?;
    let family = Family::named(&config.model_type)?;
    let gemma = family == Family::Gemma3;
    let heads = config.num_attention_heads;
    let head_dim = config
        .head_dim
        .or_else(|| config.hidden_size.checked_div(heads))
        .unwrap_or_default();
    let turned = head_dim as f64 * config.partial_rotary_factor.unwrap_or(1.0);
    let mut rope = Rope::plain(turned as usize, config.rope_theta.unwrap_or(10_000.0));
    if let Some(scaling) = config.rope_scaling.filter(|scaling| !scaling.is_null()) {
        scale(&mut rope, &scaling)?;
    }
    let local_base = config.rope_local_base_freq.unwrap_or(10_000.0);
    let windowed = match family {
        Family::Qwen2 | Family::Qwen3 => config.use_sliding_window.unwrap_or(false),
        _ => true,
    };
    let global_every = if gemma {
        config.sliding_window_pattern.unwrap_or(6)
    } else {
        0
    };
    let query_dim = config.query_pre_attn_scalar.unwrap_or(head_dim as f32);
    Architecture {
        family,
        vocabulary: config.vocab_size,
        hidden: config.hidden_size,
        layers: config.num_hidden_layers,
        heads,
        kv_heads: config.num_key_value_heads.unwrap_or(heads),
        head_dim,
        feed_forward: config.intermediate_size,
        context: config.max_position_embeddings,
        norm_eps: config.rms_norm_eps.unwrap_or(1e-6),
        local_rope: gemma.then(|| Rope::plain(rope.dims, local_base)),
        rope,
        window: config
            .sliding_window
            .filter(|_| windowed)
            .map(|size| Window { size, global_every }),
        attention_scale: query_dim.sqrt().recip(),
        embedding_scale: if gemma {
            (config.hidden_size as f32).sqrt()
        } else {
            1.0
        },
        woven: false,
        norm_offset: gemma,
    }
    .checked()
}

fn scale(rope: &mut Rope, scaling: &Value) -> Result<(), ModelFileError> {
    let kind = scaling.get("rope_type").or_else(|| scaling.get("type"));
    match kind.and_then(Value::as_str) {
        None | Some("default") => Ok(()),
        Some("linear") => {
            let factor = scaling.get("factor").and_then(Value::as_f64).unwrap_or(1.0);
            rope.factors = vec![factor; rope.dims / 2];
            Ok(())
        }
        Some("llama3") => {
            let llama: Llama3 = serde_json::from_value(scaling.clone())
                .map_err(|error| ModelFileError::broken(format!("rope_scaling: {error}")))?;
            rope.factors = rope
                .frequencies()
                .into_iter()
                .map(|f| llama.factor(f))
                .collect();
            Ok(())
        }
        Some(other) => Err(ModelFileError::unsupported(format!(
            "rope scaling {other:?}"
        ))),
    }
}

// === impl Llama3 ===

impl Llama3 {
    /// Slows long waves down, leaves short ones, and goes smoothly between.
    fn factor(&self, frequency: f64) -> f64 {
        let turns = self.original_max_position_embeddings * frequency / std::f64::consts::TAU;
        if turns < self.low_freq_factor {
            self.factor
        } else if turns > self.high_freq_factor {
            1.0
        } else {
            let span = self.high_freq_factor - self.low_freq_factor;
            let smooth = (turns - self.low_freq_factor) / span;
            1.0 / ((1.0 - smooth) / self.factor + smooth)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_llama3_scaling() {
        let config = r#"{"model_type":"llama","vocab_size":9,"hidden_size":64,
            "num_hidden_layers":1,"num_attention_heads":1,"intermediate_size":8,
            "max_position_embeddings":131072,"rope_theta":500000.0,
            "rope_scaling":{"rope_type":"llama3","factor":32.0,"low_freq_factor":1.0,
            "high_freq_factor":4.0,"original_max_position_embeddings":8192}}"#;
        let rope = from_config(config).expect("valid").rope;
        assert!((rope.factors[0] - 1.0).abs() < 1e-12, "short waves stay");
        assert!(
            (rope.factors[31] - 32.0).abs() < 1e-12,
            "long waves slow down"
        );
        assert!(
            rope.factors
                .windows(2)
                .all(|pair| pair[0] <= pair[1] + 1e-9)
        );
    }

    #[test]
    fn refuses_what_it_cannot_compute() {
        for (config, says) in [
            (r#"{"model_type":"rwkv"}"#, "missing field"),
            ("{", "config.json"),
            (
                r#"{"model_type":"rwkv","vocab_size":9,"hidden_size":64,"num_hidden_layers":1,
                "num_attention_heads":1,"intermediate_size":8,"max_position_embeddings":9}"#,
                "not supported",
            ),
            (
                r#"{"model_type":"llama","vocab_size":9,"hidden_size":64,"num_hidden_layers":1,
                "num_attention_heads":0,"intermediate_size":8,"max_position_embeddings":9}"#,
                "number of heads is 0",
            ),
        ] {
            let error = from_config(config).expect_err(says).to_string();
            assert!(error.contains(says), "{error}");
        }
    }
}
