//! The index of a GGUF file.
//!
//! candle's reader bounds its counts by the size of the file; what it does not check (an alignment
//! of 0, shapes whose product overflows) is checked here before any of it is used.

use std::collections::HashMap;
use std::fs::File;
use std::io::BufReader;
use std::panic::catch_unwind;
use std::path::Path;

use candle_core::Device;
use candle_core::quantized::GgmlDType;
use candle_core::quantized::gguf_file::Content;

use super::{Part, Weights, entry};
use crate::ModelFileError;

pub(super) fn open(path: &Path, device: &Device) -> Result<(Weights, Content), ModelFileError> {
    let unreadable = |source| ModelFileError::Unreadable {
        file: path.to_owned(),
        source,
    };
    let file = File::open(path).map_err(unreadable)?;
    let size = file.metadata().map_err(unreadable)?.len();
    let header = file.try_clone().map_err(unreadable)?;
    // A panic here would come from a header that nobody thought of; it is the file's fault.
    let content = catch_unwind(|| Content::read(&mut BufReader::new(header)))
        .map_err(|_| ModelFileError::broken("its header makes no sense"))?
        .map_err(|error| {
            let what = error.to_string();
            if what.contains("unknown dtype") {
                ModelFileError::unsupported(format!("its tensor type ({what})"))
            } else {
                ModelFileError::broken(what)
            }
        })?;
    let mut entries = HashMap::with_capacity(content.tensor_infos.len());
    for (name, info) in &content.tensor_infos {
        if matches!(info.ggml_dtype, GgmlDType::Q8_1 | GgmlDType::Q8K) {
            return Err(ModelFileError::unsupported(format!(
                "tensor type {:?}",
                info.ggml_dtype
            )));
        }
        let start = content
            .tensor_data_offset
            .checked_add(info.offset)
            .ok_or_else(|| ModelFileError::broken(format!("tensor {name} lies nowhere")))?;
        let found = entry(name, 0, info.ggml_dtype, info.shape.dims(), start, size)?;
        entries.insert(name.clone(), found);
    }
    let parts = vec![Part {
        path: path.to_owned(),
        file,
    }];
    Ok((
        Weights {
            parts,
            entries,
            device: device.clone(),
        },
        content,
    ))
}
