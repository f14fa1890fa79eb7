use sightflow_images::PixelFormat;
use sightflow_types::Task;
use sightflow_types::model::{Decoder, Interpolation};

use super::*;

fn view(width: u32, height: u32) -> View {
    View { x: 0, y: 0, width, height, mirrored: false }
}

fn spec(size: [u32; 2], resize: ResizeMode) -> ModelSpec {
    let mut spec = ModelSpec::new(Task::Embedding, size, Decoder::Feature, Vec::new());
    spec.preprocess.resize = resize;
    spec
}

#[test]
fn placements() {
    for (resize, source, scaled, offset) in [
        (ResizeMode::LetterboxCenter, (451, 300), [416, 277], [0, 69]),
        (ResizeMode::LetterboxTopLeft, (451, 300), [416, 277], [0, 0]),
        (ResizeMode::LetterboxCenter, (1, 5000), [1, 416], [207, 0]),
        (ResizeMode::Stretch, (451, 300), [416, 416], [0, 0]),
        (ResizeMode::ShortestCenterCrop(512), (451, 300), [770, 512], [-177, -48]),
        (ResizeMode::ShortestCenterCrop(416), (300, 300), [416, 416], [0, 0]),
    ] {
        let placed = Placement::new(view(source.0, source.1), resize, [416, 416]);
        assert_eq!((placed.scaled, placed.offset), (scaled, offset), "{resize:?} {source:?}");
    }
}

#[test]
fn boxes_go_back_to_where_they_came_from() {
    for resize in [
        ResizeMode::LetterboxCenter,
        ResizeMode::LetterboxTopLeft,
        ResizeMode::Stretch,
        ResizeMode::ShortestCenterCrop(500),
    ] {
        for mirrored in [false, true] {
            let view = View { mirrored, ..view(451, 300) };
            let placed = Placement::new(view, resize, [416, 416]);
            let source = BoundingBox { x1: 100.0, y1: 50.0, x2: 200.5, y2: 250.0 };
            let to = |at: f64, axis: usize, side: f64| {
                at * f64::from(placed.scaled[axis]) / side + placed.offset[axis] as f64
            };
            let (x1, x2) = if mirrored { (451.0 - source.x2, 451.0 - source.x1) } else { (source.x1, source.x2) };
            let inside = BoundingBox {
                x1: to(x1, 0, 451.0),
                y1: to(source.y1, 1, 300.0),
                x2: to(x2, 0, 451.0),
                y2: to(source.y2, 1, 300.0),
            };
            assert_eq!(placed.to_source(inside, (451, 300)).rounded(6), source, "{resize:?} {mirrored}");
        }
    }
    let placed = Placement::new(view(451, 300), ResizeMode::LetterboxCenter, [416, 416]);
    let outside = BoundingBox { x1: -5.0, y1: 0.0, x2: 500.0, y2: 500.0 };
    assert_eq!(placed.to_source(outside, (451, 300)), BoundingBox { x1: 0.0, y1: 0.0, x2: 451.0, y2: 300.0 });
}

#[test]
fn bars_and_colours() {
    let image = Pixels::filled(4, 2, PixelFormat::Rgb8, &[10, 20, 30]).expect("valid");
    let mut spec = spec([4, 4], ResizeMode::LetterboxCenter);
    spec.inputs.image.channels = ChannelOrder::Bgr;
    spec.preprocess.mean = [30.0, 10.0, 0.0];
    spec.preprocess.std = [1.0, 2.0, 5.0];
    let mut out = vec![f32::NAN; 4 * 4 * 3];
    Placement::new(View::whole(&image), ResizeMode::LetterboxCenter, [4, 4]).fill(&image, &spec, &mut out);
    let bar = [84.0, 52.0, 22.8];
    let inside = [0.0, 5.0, 2.0];
    for (index, pixel) in out.chunks_exact(3).enumerate() {
        let expected = if (4..12).contains(&index) { inside } else { bar };
        assert!(pixel.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-4), "{index}: {pixel:?}");
    }
}

#[test]
fn resampling_counts_every_pixel() {
    // Pillow's Image.resize((2, 1), BILINEAR) of 0, 100, 200, 50 gives 71, 121.
    let image = Pixels::new(4, 1, PixelFormat::Gray8, vec![0, 100, 200, 50]).expect("valid");
    let mut spec = spec([2, 1], ResizeMode::Stretch);
    let mut out = vec![0.0; 6];
    let placed = Placement::new(View::whole(&image), ResizeMode::Stretch, [2, 1]);
    placed.fill(&image, &spec, &mut out);
    assert_eq!(out.iter().map(|value| value.round()).collect::<Vec<_>>(), [71.0, 71.0, 71.0, 121.0, 121.0, 121.0]);
    spec.preprocess.interpolation = Interpolation::Nearest;
    placed.fill(&image, &spec, &mut out);
    assert_eq!(out, [100.0, 100.0, 100.0, 50.0, 50.0, 50.0]);
    let mirrored = Placement::new(View::whole(&image).mirrored(), ResizeMode::Stretch, [2, 1]);
    mirrored.fill(&image, &spec, &mut out);
    assert_eq!(out, [50.0, 50.0, 50.0, 100.0, 100.0, 100.0]);
}
