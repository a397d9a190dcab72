//! The tensors of a model, whatever file they lie in.
//!
//! A GGUF file and a folder of safetensors are both reduced to one index: canonical name (that of
//! GGUF), type, shape and where the bytes are.
//! Rows are cut, reordered and put on the device while they are read, so that quantized weights
//! stay as they are in the file and are in memory once.
//!
//! Invariant: every entry of the index was checked against the size of its file, so reading it
//! allocates no more than the file holds.

mod folder;
mod gguf;
mod product;

use std::borrow::Cow;
use std::collections::HashMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use candle_core::quantized::{GgmlDType, QStorage, QTensor};
use candle_core::{DType, Device, Tensor};

use self::product::Product;
use crate::ModelFileError;

/// The index of a model's tensors and the files they are read from.
#[derive(Debug)]
pub struct Weights {
    parts: Vec<Part>,
    entries: HashMap<String, Entry>,
    device: Device,
}

/// A matrix with its output rows first; quantized as in the file, or floats.
#[derive(Clone, Debug)]
pub enum Matrix {
    /// As it is in the file.
    Quantized(Arc<QTensor>),
    /// 32-bit floats.
    Float(Tensor),
}

#[derive(Debug)]
struct Part {
    path: PathBuf,
    file: File,
}

#[derive(Debug)]
struct Entry {
    part: usize,
    dtype: GgmlDType,
    dims: Vec<usize>,
    start: u64,
    bytes: usize,
}

/// How the rows of a matrix are taken from the file.
#[derive(Clone, Debug, Default)]
pub struct Take {
    /// Only these rows, where several matrices are stored as one.
    pub rows: Option<Range<usize>>,
    /// The rows belong to this many heads and each head's rows alternate between the two halves
    /// that rotate together, as the llama family is stored in GGUF; they are put half by half.
    pub unweave: Option<usize>,
}

// === impl Weights ===

impl Weights {
    /// Opens a GGUF file.
    pub fn open_gguf(
        path: &Path,
        device: &Device,
    ) -> Result<(Self, candle_core::quantized::gguf_file::Content), ModelFileError> {
        gguf::open(path, device).map_err(|error| error.at(path))
    }

    /// Opens every `.safetensors` file of a folder.
    pub fn open_folder(folder: &Path, device: &Device) -> Result<Self, ModelFileError> {
        folder::open(folder, device).map_err(|error| error.at(folder))
    }

    /// Whether a tensor of this name is there.
    pub fn has(&self, name: &str) -> bool {
        self.entries.contains_key(name)
    }

    /// The shape of a tensor, if it is there.
    pub fn dims(&self, name: &str) -> Option<&[usize]> {
        self.entries.get(name).map(|entry| entry.dims.as_slice())
    }

    /// Reads a vector of this length as floats.
    pub fn vector(&mut self, name: &str, len: usize) -> Result<Tensor, ModelFileError> {
        self.vector_part(name, len, &Take::default())
    }

    /// Reads a vector that goes with a matrix of which only a part is taken.
    pub fn vector_part(
        &mut self,
        name: &str,
        len: usize,
        take: &Take,
    ) -> Result<Tensor, ModelFileError> {
        let (entry, path) = self.entry(name)?;
        let wanted = take.rows.clone().unwrap_or(0..len);
        let fits = match *entry.dims.as_slice() {
            [stored] => stored == wanted.end || take.rows.is_some() && stored > wanted.end,
            _ => false,
        };
        if !fits {
            return Err(wrong_shape(name, &entry.dims, &[wanted.end]).at(&path));
        }
        let (dtype, dims) = (entry.dtype, entry.dims.clone());
        let bytes = self.bytes(name, 0..1)?;
        let read = || {
            let mut all = self
                .floats(dtype, &dims, &bytes)?
                .narrow(0, wanted.start, len)?;
            if let Some(heads) = take.unweave {
                let halves = (heads, len / heads / 2, 2);
                all = all.reshape(halves)?.transpose(1, 2)?.reshape(len)?;
            }
            all.contiguous()
        };
        read().map_err(|error| broken(name, &error).at(&path))
    }

    /// Reads a matrix of this many rows and columns, or the part of it that is asked for.
    pub fn matrix(
        &mut self,
        name: &str,
        (rows, columns): (usize, usize),
        take: &Take,
    ) -> Result<Matrix, ModelFileError> {
        let (entry, path) = self.entry(name)?;
        let wanted = take.rows.clone().unwrap_or(0..rows);
        let fits = match *entry.dims.as_slice() {
            [stored, width] => {
                width == columns
                    && wanted.len() == rows
                    && (stored == wanted.end || take.rows.is_some() && stored > wanted.end)
            }
            _ => false,
        };
        if !fits {
            return Err(wrong_shape(name, &entry.dims, &[wanted.end, columns]).at(&path));
        }
        let dtype = entry.dtype;
        if columns % dtype.block_size() != 0 {
            return Err(ModelFileError::broken(format!(
                "the rows of tensor {name} are no whole number of {dtype:?} blocks"
            ))
            .at(&path));
        }
        let mut bytes = self.bytes(name, wanted)?;
        if let Some(heads) = take.unweave {
            bytes = unweave(&bytes, rows, heads);
        }
        let matrix = if matches!(dtype, GgmlDType::F32 | GgmlDType::F16 | GgmlDType::BF16) {
            self.floats(dtype, &[rows, columns], &bytes)
                .map(Matrix::Float)
        } else {
            QStorage::from_data(Cow::Owned(bytes), &self.device, dtype)
                .and_then(|storage| QTensor::new(storage, (rows, columns)))
                .map(|tensor| Matrix::Quantized(Arc::new(tensor)))
        };
        matrix.map_err(|error| broken(name, &error).at(&path))
    }

    fn entry(&self, name: &str) -> Result<(&Entry, PathBuf), ModelFileError> {
        let whole = || {
            self.parts
                .first()
                .map(|part| part.path.clone())
                .unwrap_or_default()
        };
        let entry = self.entries.get(name).ok_or_else(|| {
            ModelFileError::broken(format!("tensor {name} is missing")).at(&whole())
        })?;
        Ok((entry, self.parts[entry.part].path.clone()))
    }

    /// Reads these rows; for a vector, the row `0..1` is all of it.
    fn bytes(&mut self, name: &str, rows: Range<usize>) -> Result<Vec<u8>, ModelFileError> {
        let entry = &self.entries[name];
        let stored = if entry.dims.len() > 1 {
            entry.dims[0]
        } else {
            1
        };
        let stride = entry.bytes / stored;
        let mut bytes = vec![0; stride * rows.len()];
        let part = &mut self.parts[entry.part];
        part.file
            .seek(SeekFrom::Start(entry.start + (rows.start * stride) as u64))
            .and_then(|_| part.file.read_exact(&mut bytes))
            .map_err(|source| ModelFileError::Unreadable {
                file: part.path.clone(),
                source,
            })?;
        Ok(bytes)
    }

    fn floats(
        &self,
        dtype: GgmlDType,
        dims: &[usize],
        bytes: &[u8],
    ) -> candle_core::Result<Tensor> {
        let dtype = match dtype {
            GgmlDType::F32 => DType::F32,
            GgmlDType::F16 => DType::F16,
            GgmlDType::BF16 => DType::BF16,
            _ => {
                let storage = QStorage::from_data(Cow::Borrowed(bytes), &Device::Cpu, dtype)?;
                return QTensor::new(storage, dims)?.dequantize(&self.device);
            }
        };
        Tensor::from_raw_buffer(bytes, dtype, dims, &Device::Cpu)?
            .to_dtype(DType::F32)?
            .to_device(&self.device)
    }
}

// === impl Matrix ===

impl Matrix {
    /// Multiplies rows of activations with it: `[n, columns]` to `[n, rows]`.
    pub fn forward(&self, rows: &Tensor) -> candle_core::Result<Tensor> {
        match self {
            Self::Quantized(weights) => match Product::with(weights) {
                Some(product) if rows.device().is_cpu() => {
                    rows.contiguous()?.apply_op1_no_bwd(&product)
                }
                _ => rows.apply_op1_no_bwd(weights.as_ref()),
            },
            Self::Float(weights) => rows.matmul(&weights.t()?),
        }
    }

    /// Looks up rows of it as floats: `[n]` to `[n, columns]`.
    pub fn lookup(&self, ids: &Tensor) -> candle_core::Result<Tensor> {
        match self {
            Self::Quantized(weights) => weights.embedding(ids),
            Self::Float(weights) => weights.index_select(ids, 0),
        }
    }
}

/// Checks one tensor's place in its file and makes its entry.
fn entry(
    name: &str,
    part: usize,
    dtype: GgmlDType,
    dims: &[usize],
    start: u64,
    file_size: u64,
) -> Result<Entry, ModelFileError> {
    let broken = |what: &str| ModelFileError::broken(format!("tensor {name} {what}"));
    let elements = dims
        .iter()
        .try_fold(1usize, |product, &dim| product.checked_mul(dim))
        .filter(|&elements| elements > 0 && elements < 1 << 40)
        .ok_or_else(|| broken("has an impossible shape"))?;
    if elements % dtype.block_size() != 0 {
        return Err(broken("is no whole number of blocks"));
    }
    let bytes = elements / dtype.block_size() * dtype.type_size();
    if start
        .checked_add(bytes as u64)
        .is_none_or(|end| end > file_size)
    {
        return Err(broken("reaches beyond the end of the file"));
    }
    Ok(Entry {
        part,
        dtype,
        dims: dims.to_vec(),
        start,
        bytes,
    })
}

/// Puts each head's rows `0, 2, 4, …, 1, 3, 5, …`.
fn unweave(bytes: &[u8], rows: usize, heads: usize) -> Vec<u8> {
    let stride = bytes.len() / rows;
    let each = rows / heads;
    let mut out = Vec::with_capacity(bytes.len());
    for head in 0..heads {
        for row in (0..each).step_by(2).chain((1..each).step_by(2)) {
            let at = (head * each + row) * stride;
            out.extend_from_slice(&bytes[at..at + stride]);
        }
    }
    out
}

fn wrong_shape(name: &str, found: &[usize], wanted: &[usize]) -> ModelFileError {
    ModelFileError::broken(format!(
        "tensor {name} has shape {found:?} instead of {wanted:?}"
    ))
}

fn broken(name: &str, error: &candle_core::Error) -> ModelFileError {
    ModelFileError::broken(format!("tensor {name}: {error}"))
}
