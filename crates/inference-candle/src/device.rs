//! Where the arithmetic runs.

use candle_core::Device;

use crate::ModelFileError;

/// The device of this name: `auto`, `cpu`, `cuda:N` or `metal`.
pub(crate) fn open(name: &str) -> Result<Device, ModelFileError> {
    let refuse = |what: String| ModelFileError::Device {
        device: name.to_owned(),
        what,
    };
    match name.split_once(':').unwrap_or((name, "0")) {
        ("cpu", _) => Ok(Device::Cpu),
        ("auto", _) => Ok(automatic()),
        ("cuda", number) => {
            let number = number
                .parse()
                .map_err(|_| refuse("its number is none".to_owned()))?;
            Device::new_cuda(number).map_err(|error| refuse(error.to_string()))
        }
        ("metal", _) => Device::new_metal(0).map_err(|error| refuse(error.to_string())),
        _ => Err(refuse("known are auto, cpu, cuda:N and metal".to_owned())),
    }
}

/// Limits the threads of our own arithmetic on the CPU; the first call in a process counts.
///
/// candle's matrix products use a pool of their own, which only the environment variables
/// `CANDLE_NUM_THREADS` and `RAYON_NUM_THREADS` limit.
pub(crate) fn limit_threads(threads: usize) {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads.max(1));
    if pool.build_global().is_err() {
        tracing::debug!(threads, "the threads are there already");
    }
}

/// The fastest device that this build can use here.
fn automatic() -> Device {
    let accelerated = if cfg!(feature = "cuda") {
        Device::new_cuda(0)
    } else if cfg!(feature = "metal") {
        Device::new_metal(0)
    } else {
        return Device::Cpu;
    };
    accelerated.unwrap_or_else(|error| {
        tracing::warn!(%error, "no accelerator here; the model runs on the CPU");
        Device::Cpu
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn opens_or_refuses_by_name() {
        assert!(open("cpu").expect("always there").is_cpu());
        for name in ["cuda:x", "tpu", "", "cpu0"] {
            let error = open(name).expect_err(name).to_string();
            assert!(error.starts_with(&format!("device {name} ")), "{error}");
        }
    }
}
