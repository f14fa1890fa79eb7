//! Feature maps whose channels lie next to each other in memory.

use std::cell::RefCell;

use burn_backend::{Shape, TensorData};
use burn_flex::{FlexTensor, Layout};

/// Spare buffers of a thread at most; a graph without long branches needs a few.
const MOST_SPARES: usize = 8;
/// Bytes of spare buffers of a thread while it runs a graph. Plans count them.
pub(crate) const MOST_SPARE_BYTES: usize = 128 << 20;
/// Bytes of spare buffers that a thread keeps from one run to the next. They are in no budget.
const MOST_KEPT_BYTES: usize = 32 << 20;

thread_local! {
    /// Buffers of feature maps that nobody needs any more: fresh memory from the system costs more than filling it.
    static SPARES: RefCell<Vec<Vec<f32>>> = const { RefCell::new(Vec::new()) };
}

/// A buffer whose elements have arbitrary values and must all be written.
///
/// # Errors
/// The system has no memory for it.
pub(super) fn buffer(length: usize) -> Result<Vec<f32>, String> {
    let spare = SPARES.with_borrow_mut(|spares| {
        // Not one that is far too large: results keep their buffers whole.
        let fits = |spare: &Vec<f32>| spare.capacity() >= length && spare.capacity() / 4 <= length;
        // Elements that it lacks would have to be filled.
        let cost = |spare: &Vec<f32>| (length.saturating_sub(spare.len()), spare.capacity());
        let best = (0..spares.len()).filter(|at| fits(&spares[*at])).min_by_key(|at| cost(&spares[*at]))?;
        Some(spares.swap_remove(best))
    });
    let mut buffer = spare.unwrap_or_default();
    let more = length.saturating_sub(buffer.len());
    buffer.try_reserve_exact(more).map_err(|_| format!("out of memory: no {length} floats in one piece"))?;
    buffer.resize(length, 0.0);
    Ok(buffer)
}

/// Keeps the buffer of a tensor that is not used any more, unless another tensor shares it.
pub(super) fn recycle(tensor: FlexTensor) {
    if !tensor.is_unique() {
        return;
    }
    let length = tensor.storage::<f32>().len();
    let whole = Layout::contiguous(Shape::from(vec![length]));
    if let Ok(spare) = tensor.with_layout(whole).into_data().into_vec::<f32>() {
        keep_spare(spare);
    }
}

/// Keeps a buffer for whoever needs one next.
pub(super) fn keep_spare(spare: Vec<f32>) {
    SPARES.with_borrow_mut(|spares| {
        spares.push(spare);
        let surplus = spares.len().saturating_sub(MOST_SPARES);
        spares.drain(..surplus);
        keep(spares, MOST_SPARE_BYTES);
    });
}

/// Gives back most of what this thread keeps.
pub(super) fn keep_little() {
    SPARES.with_borrow_mut(|spares| keep(spares, MOST_KEPT_BYTES));
}

/// Drops the oldest until the rest fits.
fn keep(spares: &mut Vec<Vec<f32>>, most: usize) {
    let mut bytes: usize = spares.iter().map(|spare| spare.capacity() * size_of::<f32>()).sum();
    while bytes > most && !spares.is_empty() {
        bytes -= spares.remove(0).capacity() * size_of::<f32>();
    }
}

/// A view of `[N, C, H, W]` in which a pixel's channels are adjacent and pixels follow each other at a fixed distance.
pub(super) struct ChannelsLast {
    tensor: FlexTensor,
    pub(super) count: usize,
    pub(super) channels: usize,
    pub(super) height: usize,
    pub(super) width: usize,
    /// Elements from a pixel to the next; more than `channels` for a part of a split tensor.
    pub(super) pixel: usize,
}

impl ChannelsLast {
    /// The tensor itself if it has this form, else a copy.
    pub(super) fn of(tensor: FlexTensor) -> Result<Self, String> {
        let shape: Vec<usize> = tensor.layout().shape().iter().copied().collect();
        let [count, channels, height, width] = shape[..] else {
            return Err(format!("images have four dimensions, not {}", shape.len()));
        };
        let pixel = match tensor.layout().strides() {
            &[image, channel, row, pixel]
                if (channel == 1 || channels == 1)
                    && pixel >= channels as isize
                    && row == pixel * width as isize
                    && (count == 1 || image == row * height as isize) =>
            {
                Some(pixel as usize)
            }
            _ => None,
        };
        Ok(match pixel {
            Some(pixel) => Self { tensor, count, channels, height, width, pixel },
            None => Self {
                tensor: interleave(&tensor, [count, channels, height, width]),
                count,
                channels,
                height,
                width,
                pixel: channels,
            },
        })
    }

    /// Lets another result use the memory.
    pub(super) fn recycle(self) {
        recycle(self.tensor);
    }

    /// The elements from the first one on.
    pub(super) fn data(&self) -> &[f32] {
        &self.tensor.storage::<f32>()[self.tensor.layout().start_offset()..]
    }
}

/// Wraps elements in the order images, rows, columns, channels.
pub(super) fn channels_last(data: Vec<f32>, [count, channels, height, width]: [usize; 4]) -> FlexTensor {
    debug_assert_eq!(data.len(), count * channels * height * width);
    let strides = [height * width * channels, 1, width * channels, channels].map(|stride| stride as isize);
    let layout = Layout::new(Shape::from([count, channels, height, width].to_vec()), strides.to_vec(), 0);
    let length = data.len();
    FlexTensor::from_data(TensorData::new(data, [length])).with_layout(layout)
}

fn interleave(tensor: &FlexTensor, [count, channels, height, width]: [usize; 4]) -> FlexTensor {
    let strides = tensor.layout().strides();
    let start = tensor.layout().start_offset() as isize;
    let source = tensor.storage::<f32>();
    let mut data = Vec::with_capacity(count * channels * height * width);
    for n in 0..count as isize {
        for row in 0..height as isize {
            let line = start + n * strides[0] + row * strides[2];
            for column in 0..width as isize {
                let pixel = line + column * strides[3];
                data.extend((0..channels as isize).map(|channel| source[(pixel + channel * strides[1]) as usize]));
            }
        }
    }
    channels_last(data, [count, channels, height, width])
}
