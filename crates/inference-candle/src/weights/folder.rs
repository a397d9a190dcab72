//! The index of a folder of safetensors, under the names that GGUF gives the same tensors.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use candle_core::Device;
use candle_core::quantized::GgmlDType;
use serde::Deserialize;

use super::{Entry, Part, Weights, entry};
use crate::ModelFileError;

/// More than any header needs; a hostile length stops here.
const HEADER_MAX: u64 = 64 << 20;

#[derive(Deserialize)]
struct Info {
    dtype: String,
    shape: Vec<usize>,
    data_offsets: (u64, u64),
}

pub(super) fn open(folder: &Path, device: &Device) -> Result<Weights, ModelFileError> {
    let unreadable = |source| ModelFileError::Unreadable {
        file: folder.to_owned(),
        source,
    };
    let mut paths: Vec<PathBuf> = fs::read_dir(folder)
        .map_err(unreadable)?
        .filter_map(|item| Some(item.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|end| end == "safetensors"))
        .collect();
    paths.sort();
    if paths.is_empty() {
        return Err(ModelFileError::Missing {
            what: format!("{}/model.safetensors", folder.display()),
            remedy: "put the weights there, or name a .gguf file".to_owned(),
        });
    }
    let (mut parts, mut entries) = (Vec::new(), HashMap::new());
    for path in paths {
        let file = read_header(&path, parts.len(), &mut entries).map_err(|e| e.at(&path))?;
        parts.push(Part { path, file });
    }
    Ok(Weights {
        parts,
        entries,
        device: device.clone(),
    })
}

fn read_header(
    path: &Path,
    part: usize,
    entries: &mut HashMap<String, Entry>,
) -> Result<File, ModelFileError> {
    let unreadable = |source| ModelFileError::Unreadable {
        file: path.to_owned(),
        source,
    };
    let mut file = File::open(path).map_err(unreadable)?;
    let size = file.metadata().map_err(unreadable)?.len();
    let mut length = [0; 8];
    file.read_exact(&mut length).map_err(unreadable)?;
    let length = u64::from_le_bytes(length);
    if length > HEADER_MAX || length > size {
        return Err(ModelFileError::broken(
            "its header is longer than it can be",
        ));
    }
    let mut header = vec![0; length as usize];
    file.read_exact(&mut header).map_err(unreadable)?;
    let header: BTreeMap<String, serde_json::Value> = serde_json::from_slice(&header)
        .map_err(|error| ModelFileError::broken(format!("its header is no JSON: {error}")))?;
    for (name, value) in header {
        if name == "__metadata__" {
            continue;
        }
        let info: Info = serde_json::from_value(value)
            .map_err(|error| ModelFileError::broken(format!("tensor {name}: {error}")))?;
        let dtype = match info.dtype.as_str() {
            "F32" => GgmlDType::F32,
            "F16" => GgmlDType::F16,
            "BF16" => GgmlDType::BF16,
            // Buffers of other types (masks, counters) are no weights.
            _ => continue,
        };
        let Some(canonical) = canonical(&name) else {
            continue;
        };
        let start = info.data_offsets.0.saturating_add(8 + length);
        let found = entry(&name, part, dtype, &info.shape, start, size)?;
        if info.data_offsets.1.checked_sub(info.data_offsets.0) != Some(found.bytes as u64) {
            return Err(ModelFileError::broken(format!(
                "tensor {name} has the wrong size"
            )));
        }
        entries.insert(canonical, found);
    }
    Ok(file)
}

/// The GGUF name of a tensor of the Hugging Face layout.
fn canonical(name: &str) -> Option<String> {
    let name = name.strip_prefix("model.").unwrap_or(name);
    let name = name.strip_prefix("language_model.").unwrap_or(name);
    let (stem, kind) = name.rsplit_once('.')?;
    let whole = match stem {
        "embed_tokens" => "token_embd",
        "norm" => "output_norm",
        "lm_head" => "output",
        _ => "",
    };
    if !whole.is_empty() {
        return Some(format!("{whole}.{kind}"));
    }
    let (layer, part) = stem.strip_prefix("layers.")?.split_once('.')?;
    let part = match part {
        "input_layernorm" => "attn_norm",
        "post_attention_layernorm" => "post_attention_norm",
        "pre_feedforward_layernorm" => "ffn_norm",
        "post_feedforward_layernorm" => "post_ffw_norm",
        "self_attn.q_proj" => "attn_q",
        "self_attn.k_proj" => "attn_k",
        "self_attn.v_proj" => "attn_v",
        "self_attn.qkv_proj" => "attn_qkv",
        "self_attn.o_proj" => "attn_output",
        "self_attn.q_norm" => "attn_q_norm",
        "self_attn.k_norm" => "attn_k_norm",
        "mlp.gate_proj" => "ffn_gate",
        "mlp.up_proj" | "mlp.gate_up_proj" => "ffn_up",
        "mlp.down_proj" => "ffn_down",
        _ => return None,
    };
    Some(format!("blk.{layer}.{part}.{kind}"))
}
