//! NanoDet: per cell of three grids a score for each class and a distribution of the distance to each side.

use sightflow_types::detection::BoundingBox;

use super::Seen;
use super::found::Found;

/// All boxes with a score of at least `confidence` in a class that is `wanted`, in pixels of the input tensor.
pub(super) fn boxes(
    seen: &Seen<'_>,
    strides: &[u32],
    reg_max: u32,
    size: [u32; 2],
    confidence: f64,
    wanted: &dyn Fn(usize) -> bool,
) -> Result<Vec<Found>, String> {
    let bins = reg_max as usize + 1;
    let mut found = Vec::new();
    for stride in strides {
        let columns = size[0].div_ceil(*stride) as usize;
        let cells = columns * size[1].div_ceil(*stride) as usize;
        let (shape, scores) = seen.outputs.of_image(&format!("cls_stride_{stride}"), seen.index)?;
        let (_, distances) = seen.outputs.of_image(&format!("dis_stride_{stride}"), seen.index)?;
        let classes = *shape.last().unwrap_or(&0);
        if classes == 0 || scores.len() != cells * classes || distances.len() != cells * 4 * bins {
            return Err(format!("the outputs for stride {stride} do not have {cells} cells with {bins} bins a side"));
        }
        for (cell, (scores, distances)) in
            scores.chunks_exact(classes).zip(distances.chunks_exact(4 * bins)).enumerate()
        {
            let mut bbox = None;
            for (class, score) in scores.iter().enumerate() {
                let score = f64::from(*score);
                if score >= confidence && wanted(class) {
                    let bbox =
                        *bbox.get_or_insert_with(|| cell_box(cell, columns, f64::from(*stride), distances, bins));
                    found.push(Found { bbox, score, class });
                }
            }
        }
    }
    Ok(found)
}

fn cell_box(cell: usize, columns: usize, stride: f64, distances: &[f32], bins: usize) -> BoundingBox {
    let center = |index: usize| (index as f64 + 0.5) * stride;
    let (x, y) = (center(cell % columns), center(cell / columns));
    let side = |side: usize| expected(&distances[side * bins..(side + 1) * bins]) * stride;
    BoundingBox { x1: x - side(0), y1: y - side(1), x2: x + side(2), y2: y + side(3) }
}

/// The mean of a distribution given as logits of 0, 1, 2, ….
fn expected(logits: &[f32]) -> f64 {
    let highest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let weights = || logits.iter().map(|logit| f64::from(logit - highest).exp());
    let sum: f64 = weights().sum();
    weights().enumerate().map(|(bin, weight)| bin as f64 * weight).sum::<f64>() / sum
}

#[cfg(test)]
mod tests {
    use super::expected;

    #[test]
    fn distances_are_means() {
        assert!((expected(&[0.0; 11]) - 5.0).abs() < 1e-12);
        assert!((expected(&[-100.0, -100.0, 100.0]) - 2.0).abs() < 1e-12);
        assert!((expected(&[1000.0, 1000.0]) - 0.5).abs() < 1e-12);
    }
}
