//! What an NVIDIA GPU needs before anything runs on it.
//!
//! Kernels are compiled on this machine when they are first used, so a driver is not enough: NVRTC and CUDA's headers must
//! be there too. burn finds out only when a kernel is launched, on a thread of its own, where the failure is lost and a
//! read answers whatever was in memory. So everything is looked for here, and the numbers of a trial are compared.

use std::path::{Path, PathBuf};
use std::sync::Once;

use burn_backend::TensorData;
use burn_backend::ops::{ConvOptions, FloatTensorOps, ModuleOps};
use burn_cuda::{Cuda, CudaDevice};
use cubecl::config::{CubeClRuntimeConfig, RuntimeConfig, cache::CacheConfig};
use cudarc::driver::{result as driver, sys};

use crate::value::{upload, wait};

type Gpu = Cuda<f32, i32>;

/// Headers that burn's kernels include, by their place in a CUDA installation.
const HEADERS: [&str; 3] = ["include/cuda_runtime.h", "include/cuda_fp16.h", "include/mma.h"];

/// Name and compute capability of GPU `number`, for example `NVIDIA L4, sm_89`.
///
/// # Errors
/// What is missing and what to do about it.
pub(super) fn usable(number: usize, caches: &Path) -> Result<String, String> {
    if !Path::new("/dev/nvidiactl").exists() && !Path::new("/dev/dxg").exists() {
        return Err("no NVIDIA GPU found (no /dev/nvidiactl)".to_owned());
    }
    crate::error::catching(|| {
        libraries()?;
        headers(cubecl::cuda::install::cuda_path())?;
        let name = describe(number)?;
        keep_kernels(caches, &name);
        right_numbers(&CudaDevice::new(number))?;
        Ok(name)
    })
}

fn libraries() -> Result<(), String> {
    // SAFETY: both load a library that is loaded for every computation anyway, and run nothing but its initialisers.
    let (driver, compiler) = unsafe { (sys::is_culib_present(), cudarc::nvrtc::sys::is_culib_present()) };
    if !driver {
        return Err("NVIDIA's driver library libcuda.so.1 cannot be loaded; install the driver, and start containers \
                    with `--gpus all`"
            .to_owned());
    }
    if !compiler {
        return Err("NVIDIA's run-time compiler libnvrtc cannot be loaded; install CUDA 12 or 13 (or its package \
                    cuda-nvrtc) and put its library folder in LD_LIBRARY_PATH"
            .to_owned());
    }
    Ok(())
}

fn headers(root: Option<PathBuf>) -> Result<(), String> {
    let advice = "install CUDA's development files (an image `nvidia/cuda:…-devel` has them), and name their folder in \
                  CUDA_PATH if it is not /usr/local/cuda";
    let root = root.ok_or_else(|| format!("CUDA's headers are missing; {advice}"))?;
    match HEADERS.iter().map(|header| root.join(header)).find(|header| !header.exists()) {
        Some(missing) => Err(format!("the CUDA header {} is missing; {advice}", missing.display())),
        None => Ok(()),
    }
}

fn describe(number: usize) -> Result<String, String> {
    let said = |error: cudarc::driver::DriverError| format!("the driver said: {error}");
    driver::init().map_err(said)?;
    let count = driver::device::get_count().map_err(said)?;
    let ordinal = i32::try_from(number).ok().filter(|number| *number < count);
    let ordinal = ordinal.ok_or_else(|| format!("there are {count} GPUs, numbered from 0"))?;
    let device = driver::device::get(ordinal).map_err(said)?;
    let attribute = |attribute| {
        // SAFETY: the device is the driver's own answer.
        unsafe { driver::device::get_attribute(device, attribute) }.map_err(said)
    };
    let major = attribute(sys::CUdevice_attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR)?;
    let minor = attribute(sys::CUdevice_attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR)?;
    let name = driver::device::get_name(device).map_err(said)?;
    Ok(format!("{name}, sm_{major}{minor}"))
}

/// Compiled kernels are of use only to a GPU of the same kind, so each kind has a folder. The first call decides for the
/// process.
fn keep_kernels(caches: &Path, name: &str) {
    static CONFIGURED: Once = Once::new();
    let folder: String = name.chars().map(|c| if c.is_ascii_alphanumeric() || c == '_' { c } else { '-' }).collect();
    CONFIGURED.call_once(|| {
        let folder = CacheConfig::File(caches.join(folder));
        let mut config = CubeClRuntimeConfig::default();
        config.autotune.cache = folder.clone();
        config.compilation.cache = Some(folder);
        CubeClRuntimeConfig::set(config);
    });
}

/// A convolution, a product of matrices and a sum, whose results are whole numbers that no precision loses.
fn right_numbers(device: &CudaDevice) -> Result<(), String> {
    let upload = |data: &[f32], dims: &[usize]| upload::<Gpu>(data.to_vec(), dims, device);
    let nine: Vec<f32> = (1..=9_u8).map(f32::from).collect();
    let image = upload(&nine, &[1, 1, 3, 3]);
    let options = ConvOptions::new([1, 1], [0, 0], [1, 1], 1);
    let found = <Gpu as ModuleOps<Gpu>>::conv2d(image.clone(), upload(&[1.0; 4], &[1, 1, 2, 2]), None, options);
    expect("a convolution", found, &[12.0, 16.0, 24.0, 28.0])?;
    let two = upload(&[1.0, 2.0, 3.0, 4.0], &[2, 2]);
    expect("a product of matrices", Gpu::float_matmul(two.clone(), two), &[7.0, 10.0, 15.0, 22.0])?;
    expect("a sum", Gpu::float_sum(image), &[45.0])
}

fn expect(what: &str, found: burn_backend::tensor::FloatTensor<Gpu>, expected: &[f32]) -> Result<(), String> {
    let found = wait(Gpu::float_into_data(found)).map_err(|error| format!("{what} on the GPU failed: {error:?}"))?;
    match found == TensorData::new(expected.to_vec(), found.shape.clone()) {
        true => Ok(()),
        false => Err(format!("{what} on the GPU gave wrong numbers ({found}); is the driver older than CUDA?")),
    }
}
