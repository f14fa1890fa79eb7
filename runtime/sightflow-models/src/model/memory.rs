//! The memory of running batches, taken from the process's budget before a pass begins.

use std::time::{Duration, Instant};

use sightflow_memory::{MemoryPool, Reservation, Use};
use sightflow_types::model::{ModelSpec, TensorLayout};

use crate::error::PassFailure;
use crate::graph::{Graph, Limits};
use crate::kernels::MOST_SPARE_BYTES;
use crate::{Device, ModelError};

/// How long a pass waits for memory that others hold.
const PATIENCE: Duration = Duration::from_secs(30);
/// Multiply-adds for an image at most: minutes on any CPU, and more than any published vision model takes.
const MOST_WORK: u64 = 5_000_000_000_000;
/// Images that go through a graph at once at most.
const fn most_images(device: Device) -> usize {
    match device {
        Device::Cpu => 8,
        Device::Cuda(_) => 32,
    }
}
/// Bytes that a pass with several images may take on the CPU: more would push each other out of the caches, and an image
/// alone costs less.
const CACHE: u64 = 4 << 20;

/// What a pass takes at most, by its number of images.
pub(super) struct Plans {
    device: Device,
    /// Bytes for 1, 2, … images, as far as they should run together.
    peaks: Vec<u64>,
}

impl Plans {
    /// # Errors
    /// One image alone cannot run: [`ModelError::TooLarge`], [`ModelError::Unrunnable`].
    pub(super) fn make(graph: &Graph, spec: &ModelSpec, device: Device) -> Result<Self, ModelError> {
        let [width, height] = spec.input_size();
        let plan = |count: usize| {
            let (height, width) = (height as usize, width as usize);
            let image = match spec.inputs.image.layout {
                TensorLayout::Nchw => [count, 3, height, width],
                TensorLayout::Nhwc => [count, height, width, 3],
            };
            let limits =
                Limits { bytes: MemoryPool::process().capacity(), work: MOST_WORK.saturating_mul(count as u64) };
            graph.plan(&image, limits)
        };
        let mut peaks = vec![plan(1)?.peak];
        // A graph that takes one image only does not fit more; the trial run tells.
        for count in 2..=most_images(device) {
            match plan(count) {
                Ok(plan) if device != Device::Cpu || plan.peak <= CACHE => peaks.push(plan.peak),
                Ok(_) | Err(_) => break,
            }
        }
        Ok(Self { device, peaks })
    }

    /// Images that should go through the graph at once at most.
    pub(super) fn most(&self) -> usize {
        self.peaks.len()
    }

    /// Takes what a pass needs from the process's budget; waits for it, blocking, if others hold it. On a GPU activations
    /// are not in this process.
    ///
    /// # Errors
    /// [`PassFailure::Memory`] if it is not there in time.
    pub(super) fn reserve(&self, count: usize) -> Result<Option<Reservation>, PassFailure> {
        if self.device != Device::Cpu || count == 0 {
            return Ok(None);
        }
        self.reserve_in(MemoryPool::process(), count, Instant::now() + PATIENCE).map(Some)
    }

    fn reserve_in(&self, pool: &MemoryPool, count: usize, deadline: Instant) -> Result<Reservation, PassFailure> {
        // More images than should run together: the trial with two of them, when a model is loaded.
        let bytes = match self.peaks.get(count - 1) {
            Some(bytes) => *bytes,
            None => self.peaks.first().map_or(0, |one| one.saturating_mul(count as u64)),
        };
        // Beside what lives there are buffers that wait for the next step.
        let bytes = bytes.saturating_add(bytes.min(MOST_SPARE_BYTES as u64)).min(pool.capacity());
        pool.reserve_blocking(Use::Models, bytes, deadline).map_err(|error| PassFailure::Memory(error.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pass_waits_for_its_memory_and_gives_it_back() {
        let plans = Plans { device: Device::Cpu, peaks: vec![1_000, 2_000] };
        let pool = MemoryPool::new(5_000);
        let now = Instant::now();
        let held = plans.reserve_in(&pool, 2, now).expect("free");
        assert_eq!((held.bytes(), pool.used()), (4_000, 4_000));
        let Err(PassFailure::Memory(reason)) = plans.reserve_in(&pool, 1, now) else { panic!("given twice") };
        assert!(reason.contains("2000 bytes"), "{reason}");
        std::thread::scope(|scope| {
            let waiting =
                scope.spawn(|| plans.reserve_in(&pool, 1, Instant::now() + PATIENCE).map(|held| held.bytes()));
            drop(held);
            assert_eq!(waiting.join().expect("no panic"), Ok(2_000));
        });
        assert_eq!(pool.used(), 0);
    }
}
