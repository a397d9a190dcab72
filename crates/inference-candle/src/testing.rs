//! Tiny model files for tests.

use std::collections::HashMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use candle_core::quantized::gguf_file::{self, Value};
use candle_core::quantized::{GgmlDType, QTensor};
use candle_core::{Device, Tensor};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::decoder::architecture::Architecture;

/// The real model that tests talk to.
pub(crate) fn real_model() -> PathBuf {
    const NAME: &str = "SmolLM2-135M-Instruct.Q4_1.gguf";
    if let Some(path) = std::env::var_os("TERTULIA_TEST_MODEL") {
        return PathBuf::from(path);
    }
    let cache = std::env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(|| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache")));
    let models = cache.unwrap_or_default().join("tertulia/models");
    let folders = fs::read_dir(&models)
        .into_iter()
        .flatten()
        .flatten()
        .map(|item| item.path());
    std::iter::once(models.clone())
        .chain(folders)
        .map(|folder| folder.join(NAME))
        .find(|path| path.is_file())
        .unwrap_or_else(|| {
            panic!(
                "{NAME} is not below {}: `tertulia model pull smollm2-135m-instruct`, or name the \
                 file in TERTULIA_TEST_MODEL",
                models.display()
            )
        })
}

/// The families that can be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TinyFamily {
    Llama,
    Qwen2,
    Qwen3,
    Gemma3,
    Phi3,
}

// === impl TinyFamily ===

impl TinyFamily {
    pub(crate) const ALL: [Self; 5] = [
        Self::Llama,
        Self::Qwen2,
        Self::Qwen3,
        Self::Gemma3,
        Self::Phi3,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Llama => "llama",
            Self::Qwen2 => "qwen2",
            Self::Qwen3 => "qwen3",
            Self::Gemma3 => "gemma3",
            Self::Phi3 => "phi3",
        }
    }
}

/// Tokens of the tiny models.
pub(crate) const VOCABULARY: usize = 96;

/// Writes a model of this family with random weights of several types.
pub(crate) fn write_gguf(path: &Path, family: TinyFamily) {
    const HIDDEN: usize = 64;
    const FEED: usize = 96;
    const HEADS: usize = 4;
    const KV_HEADS: usize = 2;
    let head = if matches!(family, TinyFamily::Qwen3 | TinyFamily::Gemma3) {
        32
    } else {
        16
    };
    let (q, kv) = (HEADS * head, KV_HEADS * head);
    let layers = if family == TinyFamily::Gemma3 { 7 } else { 2 };
    let mut file = Tiny::new(family.name());
    for (key, value) in [
        ("embedding_length", HIDDEN),
        ("block_count", layers),
        ("feed_forward_length", FEED),
        ("attention.head_count", HEADS),
        ("attention.head_count_kv", KV_HEADS),
        ("attention.key_length", head),
        ("attention.value_length", head),
        ("context_length", 1024),
    ] {
        file.size(key, value);
    }
    if matches!(family, TinyFamily::Gemma3 | TinyFamily::Phi3) {
        file.size("attention.sliding_window", 5);
    }
    if family == TinyFamily::Phi3 {
        file.size("rope.dimension_count", head / 2);
    }
    file.number("rope.freq_base", 10_000.0);
    file.number("attention.layer_norm_rms_epsilon", 1e-6);
    // Products with quantized weights round activations, which would hide what is tested here.
    let embedding = if family == TinyFamily::Llama {
        GgmlDType::Q8_0
    } else {
        GgmlDType::BF16
    };
    file.matrix("token_embd.weight", VOCABULARY, HIDDEN, embedding);
    file.vector("output_norm.weight", HIDDEN);
    if family == TinyFamily::Llama {
        file.matrix("output.weight", VOCABULARY, HIDDEN, GgmlDType::F16);
        file.vector("rope_freqs.weight", head / 2);
    }
    for layer in 0..layers {
        let name = |part: &str| format!("blk.{layer}.{part}");
        file.vector(&name("attn_norm.weight"), HIDDEN);
        file.vector(&name("ffn_norm.weight"), HIDDEN);
        if family == TinyFamily::Phi3 {
            file.matrix(&name("attn_qkv.weight"), q + 2 * kv, HIDDEN, GgmlDType::F16);
            file.matrix(&name("ffn_up.weight"), 2 * FEED, HIDDEN, GgmlDType::F32);
        } else {
            file.matrix(&name("attn_q.weight"), q, HIDDEN, GgmlDType::F32);
            file.matrix(&name("attn_k.weight"), kv, HIDDEN, GgmlDType::F32);
            file.matrix(&name("attn_v.weight"), kv, HIDDEN, GgmlDType::F32);
            file.matrix(&name("ffn_gate.weight"), FEED, HIDDEN, GgmlDType::F32);
            file.matrix(&name("ffn_up.weight"), FEED, HIDDEN, GgmlDType::F32);
        }
        file.matrix(&name("attn_output.weight"), HIDDEN, q, GgmlDType::F32);
        file.matrix(&name("ffn_down.weight"), HIDDEN, FEED, GgmlDType::F32);
        if family == TinyFamily::Qwen2 {
            for (part, len) in [("attn_q", q), ("attn_k", kv), ("attn_v", kv)] {
                file.vector(&name(&format!("{part}.bias")), len);
            }
        }
        if matches!(family, TinyFamily::Qwen3 | TinyFamily::Gemma3) {
            file.vector(&name("attn_q_norm.weight"), head);
            file.vector(&name("attn_k_norm.weight"), head);
        }
        if family == TinyFamily::Gemma3 {
            file.vector(&name("post_attention_norm.weight"), HIDDEN);
            file.vector(&name("post_ffw_norm.weight"), HIDDEN);
        }
    }
    file.write(path);
}

/// Writes safetensors of the llama family as GGUF does: with woven queries and keys.
pub(crate) fn write_woven_llama(path: &Path, source: &Path, shape: &Architecture) {
    let tensors: HashMap<String, Tensor> =
        candle_core::safetensors::load(source, &Device::Cpu).expect("safetensors");
    let mut file = Tiny::new("llama");
    for (key, value) in [
        ("embedding_length", shape.hidden),
        ("block_count", shape.layers),
        ("feed_forward_length", shape.feed_forward),
        ("attention.head_count", shape.heads),
        ("attention.head_count_kv", shape.kv_heads),
        ("context_length", shape.context),
    ] {
        file.size(key, value);
    }
    file.number("rope.freq_base", shape.rope.base as f32);
    file.number("attention.layer_norm_rms_epsilon", shape.norm_eps);
    let weave = |tensor: &Tensor, heads: usize| {
        let (rows, columns) = tensor.dims2().unwrap();
        tensor
            .reshape((heads, 2, rows / heads / 2, columns))
            .and_then(|t| t.transpose(1, 2)?.reshape((rows, columns)))
            .unwrap()
    };
    let mut put = |to: &str, from: &str, heads: Option<usize>| {
        let tensor = &tensors[from];
        let tensor = heads.map_or_else(|| tensor.clone(), |heads| weave(tensor, heads));
        file.tensors.push((
            to.to_owned(),
            QTensor::quantize(&tensor, GgmlDType::F32).unwrap(),
        ));
    };
    put("token_embd.weight", "model.embed_tokens.weight", None);
    put("output_norm.weight", "model.norm.weight", None);
    put("output.weight", "lm_head.weight", None);
    for layer in 0..shape.layers {
        for (to, from, heads) in [
            ("attn_norm", "input_layernorm", None),
            ("ffn_norm", "post_attention_layernorm", None),
            ("attn_q", "self_attn.q_proj", Some(shape.heads)),
            ("attn_k", "self_attn.k_proj", Some(shape.kv_heads)),
            ("attn_v", "self_attn.v_proj", None),
            ("attn_output", "self_attn.o_proj", None),
            ("ffn_gate", "mlp.gate_proj", None),
            ("ffn_up", "mlp.up_proj", None),
            ("ffn_down", "mlp.down_proj", None),
        ] {
            let (to, from) = (
                format!("blk.{layer}.{to}.weight"),
                format!("model.layers.{layer}.{from}.weight"),
            );
            put(&to, &from, heads);
        }
    }
    file.write(path);
}

/// A GGUF file in the making.
struct Tiny {
    family: &'static str,
    metadata: Vec<(String, Value)>,
    tensors: Vec<(String, QTensor)>,
    random: StdRng,
}

// === impl Tiny ===

impl Tiny {
    fn new(family: &'static str) -> Self {
        let strings =
            |items: Vec<String>| Value::Array(items.into_iter().map(Value::String).collect());
        let mut tokens: Vec<String> = (33u8..126)
            .map(|byte| char::from(byte).to_string())
            .collect();
        tokens.push("ab".to_owned());
        tokens.push("<|end|>".to_owned());
        tokens.push("\u{120}".to_owned());
        assert_eq!(tokens.len(), VOCABULARY);
        let kinds = (0..VOCABULARY)
            .map(|i| Value::I32(if i == 94 { 3 } else { 1 }))
            .collect();
        let metadata = vec![
            (
                "general.architecture".to_owned(),
                Value::String(family.to_owned()),
            ),
            (
                "tokenizer.ggml.model".to_owned(),
                Value::String("gpt2".to_owned()),
            ),
            (
                "tokenizer.ggml.pre".to_owned(),
                Value::String("default".to_owned()),
            ),
            ("tokenizer.ggml.tokens".to_owned(), strings(tokens)),
            ("tokenizer.ggml.token_type".to_owned(), Value::Array(kinds)),
            (
                "tokenizer.ggml.merges".to_owned(),
                strings(vec!["a b".to_owned()]),
            ),
            ("tokenizer.ggml.bos_token_id".to_owned(), Value::U32(94)),
            ("tokenizer.ggml.eos_token_id".to_owned(), Value::U32(94)),
        ];
        Self {
            family,
            metadata,
            tensors: Vec::new(),
            random: StdRng::seed_from_u64(7),
        }
    }

    fn size(&mut self, key: &str, value: usize) {
        self.metadata
            .push((format!("{}.{key}", self.family), Value::U32(value as u32)));
    }

    fn number(&mut self, key: &str, value: f32) {
        self.metadata
            .push((format!("{}.{key}", self.family), Value::F32(value)));
    }

    fn matrix(&mut self, name: &str, rows: usize, columns: usize, dtype: GgmlDType) {
        let values: Vec<f32> = (0..rows * columns)
            .map(|_| self.random.random_range(-0.2..0.2))
            .collect();
        let tensor = Tensor::from_vec(values, (rows, columns), &Device::Cpu).unwrap();
        self.tensors
            .push((name.to_owned(), QTensor::quantize(&tensor, dtype).unwrap()));
    }

    fn vector(&mut self, name: &str, len: usize) {
        let values: Vec<f32> = (0..len)
            .map(|_| self.random.random_range(0.5..1.5))
            .collect();
        let tensor = Tensor::from_vec(values, len, &Device::Cpu).unwrap();
        self.tensors.push((
            name.to_owned(),
            QTensor::quantize(&tensor, GgmlDType::F32).unwrap(),
        ));
    }

    fn write(&self, path: &Path) {
        let metadata: Vec<_> = self.metadata.iter().map(|(k, v)| (k.as_str(), v)).collect();
        let tensors: Vec<_> = self.tensors.iter().map(|(k, v)| (k.as_str(), v)).collect();
        let mut file = File::create(path).expect("the test's folder");
        gguf_file::write(&mut file, &metadata, &tensors).expect("a GGUF file");
    }
}
