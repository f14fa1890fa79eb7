//! One package of blocks that misbehave, each in its own way, and of some that behave.
//!
//! `config` is the block's argument as plain text where it needs one.

wit_bindgen::generate!({ path: "../../../../wit/v0_1", world: "full-package" });

use exports::sightflow::block::blocks::{BlockError, Guest, Payload};
use exports::sightflow::block::{batches, checks};
use sightflow::block::image_ops::{self as ops, Axis, Border};
use sightflow::block::images::{
    Canvas, Drawing, Ellipse, Image, ImageError, Ink, Path, Point, Rect, Rectangle, Size, Stroke, Text, text_size,
};
use sightflow::block::log::{Level, log};

struct Package;

const BLOCKS: [&str; 45] = [
    "echo", "spin", "spin_in_host", "grow", "recurse", "unreachable", "panic", "handles", "handles_dropped", "output", "log", "print",
    "sleep", "environment", "files", "network", "clock", "random", "exit", "fail", "retry", "bad_input", "bad_config", "not_json", "foreign_image",
    "copy", "create", "hold", "process", "arguments", "pixels", "draw", "text_size", "error_text", "error_json", "log_text",
    "grow_refused", "refused_then_granted", "refused_then_fails", "wrong_size",
    "buffers", "unknown_names", "drawings", "other", "image_ops",
];

/// A call failed because the host refused.
fn refused(error: ImageError) -> BlockError {
    BlockError::Failed(format!("{error:?}"))
}

fn answer(document: String) -> Result<Payload, BlockError> {
    Ok(Payload { document, images: Vec::new(), buffers: Vec::new() })
}

const BLACK: Ink = Ink { r: 0, g: 0, b: 0, opacity: 1.0 };

fn blank(width: u32, height: u32) -> Result<Canvas, ImageError> {
    Canvas::blank(Size { width, height }, "rgb8", BLACK)
}

/// Recursion that no optimiser turns into a loop.
#[expect(unconditional_recursion, reason = "on purpose")]
#[inline(never)]
fn recurse(depth: u64) -> u64 {
    let frame = std::hint::black_box([depth; 64]);
    recurse(depth + 1) + std::hint::black_box(frame)[7]
}

/// Every function of the interface once; each answer as the sum of its values, or as it is.
fn image_ops() -> Result<String, ImageError> {
    let size = Size { width: 6, height: 4 };
    let gray = Image::from_pixels(size, "gray8", &(0..24).map(|value| value * 10).collect::<Vec<u8>>())?;
    let color = gray.convert("rgb8")?;
    let mask = ops::threshold(&gray, 99.0, 255.0, "binary")?;
    let border = |mode: &str| Border { mode: mode.to_owned(), fill: BLACK };
    let sum = |image: &Image| ops::sum(image, None).map(|sums| sums[0]);
    let identity = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0];
    let contours = ops::contours(&mask, "external")?;
    let unknown = ops::morphology(&gray, "melt", "cross", Size { width: 3, height: 3 }, 1);
    let png = ops::encode(&color, "png", 0)?;
    let answers = [
        ("threshold", sum(&mask)?),
        ("otsu_level", ops::otsu_level(&gray)?.into()),
        ("adaptive_threshold", sum(&ops::adaptive_threshold(&gray, 3, 0.0, "binary")?)?),
        ("convert_color", sum(&ops::convert_color(&color, "rgb", "hsv")?)?),
        ("warp_affine", sum(&ops::warp_affine(&gray, &identity[..6], size, "bilinear", &border("replicate"))?)?),
        ("warp_perspective", sum(&ops::warp_perspective(&gray, &identity, size, "nearest", &border("constant"))?)?),
        ("pad", sum(&ops::pad(&gray, 1, 0, 0, 0, &border("replicate"))?)?),
        ("flip", ops::flip(&gray, Axis::Both)?.read(Rect { x: 0, y: 0, width: 1, height: 1 }, "gray8")?[0].into()),
        ("morphology", sum(&ops::morphology(&gray, "erode", "rectangle", Size { width: 3, height: 3 }, 1)?)?),
        ("blend", sum(&ops::blend(&gray, 0.5, &gray, 0.5, 1.0)?)?),
        ("absolute_difference", sum(&ops::absolute_difference(&gray, &gray)?)?),
        ("apply_mask", sum(&ops::apply_mask(&gray, &mask, BLACK)?)?),
        ("composite", sum(&ops::composite(&gray, &mask, &mask)?)?),
        ("mean", ops::mean(&gray, Some(&mask))?[0]),
        ("contours", contours.iter().map(|contour| contour.points.len() as f64).sum()),
        ("encode", f64::from(u8::from(png.starts_with(b"\x89PNG")))),
        ("unknown", f64::from(u8::from(matches!(unknown, Err(ImageError::Unsupported(_)))))),
    ];
    let answers: Vec<_> = answers.iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
    Ok(format!("{{{}}}", answers.join(",")))
}

impl Guest for Package {
    fn catalog() -> String {
        let manifests = BLOCKS.map(|name| {
            format!(
                r#"{{"name":"{name}","title":"{name}","description":"Misbehaves.","category":"logic","inputs":[],"outputs":[],"config":{{"type":"object","additionalProperties":false}}}}"#
            )
        });
        format!("[{}]", manifests.join(","))
    }

    fn run(block: String, config: String, inputs: Payload) -> Result<Payload, BlockError> {
        let number = || config.parse::<u64>().map_err(|error| BlockError::BadConfig(format!("{config}: {error}")));
        let first = || inputs.images.first().ok_or_else(|| BlockError::BadInput("no image".to_owned()));
        match block.as_str() {
            "echo" => Ok(inputs),
            "spin" => loop {
                std::hint::black_box(0);
            },
            // Most of the time passes in host code, in small calls.
            "spin_in_host" => loop {
                std::hint::black_box(first()?.size());
            },
            "grow" => {
                let mut hoard = Vec::new();
                loop {
                    hoard.push(std::hint::black_box(vec![1_u8; 1 << 20]));
                }
            }
            "recurse" => answer(format!("{{\"depth\":{}}}", recurse(0))),
            "unreachable" => core::arch::wasm32::unreachable(),
            "panic" => panic!("a guest's own words"),
            "handles" => {
                let mut views = Vec::new();
                loop {
                    views.push(first()?.crop(Rect { x: 0, y: 0, width: 1, height: 1 }).map_err(refused)?);
                }
            }
            "handles_dropped" => {
                for _ in 0..number()? {
                    first()?.crop(Rect { x: 0, y: 0, width: 1, height: 1 }).map_err(refused)?;
                }
                answer("{}".to_owned())
            }
            "output" => answer(format!("{{\"text\":\"{}\"}}", "x".repeat(number()? as usize))),
            "log" => {
                for line in 0..number()? {
                    log(Level::Info, &format!("line {line}"));
                }
                answer("{}".to_owned())
            }
            "print" => {
                println!("to standard output");
                eprintln!("to standard error");
                print!("an unfinished line");
                std::io::Write::flush(&mut std::io::stdout()).map_err(|error| BlockError::Failed(error.to_string()))?;
                answer("{}".to_owned())
            }
            "sleep" => {
                std::thread::sleep(std::time::Duration::from_secs(3600));
                answer("{}".to_owned())
            }
            "environment" => {
                let variables = std::env::vars().count();
                answer(format!("{{\"variables\":{variables},\"arguments\":{}}}", std::env::args().count()))
            }
            "files" => {
                let found = ["/", "/etc/passwd", ".", "Cargo.toml"].iter().filter(|path| std::fs::metadata(path).is_ok()).count();
                let made = std::fs::write("made-by-a-guest", "x").is_ok();
                answer(format!("{{\"found\":{found},\"made\":{made}}}"))
            }
            "network" => {
                let error = std::net::TcpStream::connect("127.0.0.1:80").expect_err("no network");
                answer(format!("{{\"error\":{:?}}}", format!("{:?}", error.kind())))
            }
            "clock" => {
                let start = std::time::Instant::now();
                let wall = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(-1, |time| time.as_nanos() as i64);
                for n in 0..1_000_000 {
                    std::hint::black_box(n);
                }
                answer(format!("{{\"wall\":{wall},\"elapsed\":{}}}", start.elapsed().as_nanos()))
            }
            "random" => {
                use std::hash::{BuildHasher, RandomState};
                answer(format!("{{\"hash\":{}}}", RandomState::new().hash_one(7)))
            }
            "exit" => std::process::exit(3),
            "fail" => Err(BlockError::Failed(config)),
            "retry" => Err(BlockError::Retry(config)),
            "bad_input" => Err(BlockError::BadInput(config)),
            "bad_config" => Err(BlockError::BadConfig(config)),
            "not_json" => answer(config),
            "foreign_image" => answer(r#"{"image":{"$image":1}}"#.to_owned()),
            // Moves the image's first row so many times.
            "copy" => {
                let Size { width, .. } = first()?.size();
                for _ in 0..number()? {
                    first()?.read(Rect { x: 0, y: 0, width, height: 1 }, "rgb8").map_err(refused)?;
                }
                answer("{}".to_owned())
            }
            "create" => {
                for _ in 0..number()? {
                    first()?.resize(Size { width: 100, height: 100 }, "nearest").map_err(refused)?;
                }
                answer("{}".to_owned())
            }
            "process" => {
                let canvas = blank(1000, 1000).map_err(refused)?;
                let ink = Ink { r: 255, g: 0, b: 0, opacity: 1.0 };
                let whole = Rectangle {
                    start: Point { x: 0, y: 0 },
                    end: Point { x: 999, y: 999 },
                    corner_radius: 0,
                    fill: Some(ink),
                    stroke: None,
                };
                let drawing = Drawing::new();
                (0..number()?).try_for_each(|_| drawing.rectangle(whole)).map_err(refused)?;
                canvas.draw(&drawing).map_err(refused)?;
                answer("{}".to_owned())
            }
            // Keeps so many pictures of 30,000 bytes.
            "hold" => {
                let pictures = (0..number()?)
                    .map(|_| first()?.resize(Size { width: 100, height: 100 }, "nearest").map_err(refused))
                    .collect::<Result<Vec<_>, _>>()?;
                answer(format!("{{\"pictures\":{}}}", pictures.len()))
            }
            // Draw lists that would take for ever.
            "draw" => {
                let ink = Ink { r: 255, g: 0, b: 0, opacity: 0.5 };
                let (fill, stroke) = (Some(ink), Some(Stroke { ink, width: 3 }));
                let at = |x, y| Point { x, y };
                let drawing = Drawing::new();
                let rectangle = |x| drawing.rectangle(Rectangle { start: at(x, 0), end: at(x + 8, 16_383), corner_radius: 0, fill, stroke });
                let ellipse = |end_angle| {
                    let (radius_x, radius_y) = (4096, 4096);
                    drawing.ellipse(Ellipse { center: at(4, 4), radius_x, radius_y, start_angle: 0.0, end_angle, fill, stroke })
                };
                let zigzag = |left: i32| (0..16_000).map(|i| at(left + i % 64, if i % 2 == 0 { 0 } else { 16_383 })).collect();
                let path = |left| drawing.path(&Path { points: zigzag(left), closed: true, fill, stroke });
                let text = |length, x, height| {
                    drawing.text(&Text { content: "W".repeat(length), at: at(x, 0), height, ink, background: None })
                };
                let (size, added) = match config.as_str() {
                    "rectangles" => ((1, 16_384), (0..500_000).try_for_each(|_| rectangle(-9))),
                    "ellipses" => ((8, 8), (0..100_000).try_for_each(|_| ellipse(360.0))),
                    "arcs" => ((8, 8), (0..100_000).try_for_each(|_| ellipse(350.0))),
                    "polygon" => ((64, 16_384), path(0)),
                    "polyline" => ((64, 16_384), path(-60)),
                    "text" => ((64, 64), text(20 << 20, 0, 20.0)),
                    "texts" => ((64, 64), (0..10_000).try_for_each(|_| text(4000, -100_000, 20.0))),
                    "letters" => ((4096, 4096), (0..100).try_for_each(|_| text(20, 0, 4096.0))),
                    "numbers" => ((64, 64), text(9, i32::MIN, f32::NAN).and_then(|()| text(9, i32::MAX, f32::INFINITY))),
                    other => return Err(BlockError::BadConfig(other.to_owned())),
                };
                added.map_err(refused)?;
                let canvas = blank(size.0, size.1).map_err(refused)?;
                canvas.draw(&drawing).map_err(refused)?;
                answer("{}".to_owned())
            }
            "text_size" => {
                let text = "m".repeat(number()? as usize);
                loop {
                    std::hint::black_box(text_size(&text, 20.0).map_err(refused)?);
                }
            }
            "error_text" => Err(BlockError::Failed("ä".repeat(number()? as usize))),
            "error_json" => Err(BlockError::Retry(format!("[{}0]", "0,".repeat(number()? as usize)))),
            "log_text" => {
                log(Level::Warn, &config);
                log(Level::Info, &"x".repeat(20 << 20));
                answer("{}".to_owned())
            }
            // More than is allowed is refused, not deadly.
            "grow_refused" => {
                let refused = Vec::<u8>::new().try_reserve_exact(1 << 30).is_err();
                let granted = Vec::<u8>::new().try_reserve_exact(1 << 20).is_ok();
                answer(format!("{{\"refused\":{refused},\"granted\":{granted}}}"))
            }
            // A budget is refused; what comes then has nothing to do with it, or has.
            "refused_then_granted" | "refused_then_fails" => {
                let error = blank(1000, 1000).err();
                if block == "refused_then_granted" {
                    blank(10, 10).map_err(refused)?;
                }
                Err(BlockError::Failed(format!("no luck: {}", error.is_some())))
            }
            // A size that the pixels do not have costs nothing.
            "wrong_size" => {
                let error = Image::from_pixels(Size { width: 10_000, height: 10_000 }, "rgb8", &[0; 12]).err();
                first()?.resize(Size { width: 100, height: 100 }, "nearest").map_err(refused)?;
                answer(format!("{{\"refused\":{}}}", matches!(error, Some(ImageError::Invalid(_)))))
            }
            // Megabytes of rectangles in one host call.
            "arguments" => {
                let areas = vec![Rect { x: 0, y: 0, width: 9, height: 9 }; 60_000 * number()? as usize];
                Drawing::new().outside(&areas, BLACK).map_err(refused)?;
                answer("{}".to_owned())
            }
            // Shapes without end, and none painted.
            "drawings" => {
                let drawing = Drawing::new();
                let (points, fill) = (vec![Point { x: 0, y: 0 }; 1000], Some(BLACK));
                for _ in 0..number()? {
                    drawing.path(&Path { points: points.clone(), closed: false, fill, stroke: None }).map_err(refused)?;
                }
                answer("{}".to_owned())
            }
            // Each buffer backwards, in opposite order.
            "buffers" => {
                let buffers: Vec<Vec<u8>> =
                    inputs.buffers.into_iter().rev().map(|bytes| bytes.into_iter().rev().collect()).collect();
                let named: Vec<_> = (0..buffers.len()).map(|at| format!("{{\"$bytes\":{at}}}")).collect();
                let document = format!("{{\"buffers\":[{}]}}", named.join(","));
                Ok(Payload { document, images: Vec::new(), buffers })
            }
            // What a later host may know.
            "unknown_names" => {
                let image = first()?;
                let size = Size { width: 1, height: 1 };
                let errors = [
                    image.convert("bgr8").err(),
                    image.resize(size, "sharp").err(),
                    image.read(Rect { x: 0, y: 0, width: 1, height: 1 }, "").err(),
                    Canvas::blank(size, "RGB8", BLACK).err(),
                    Image::from_pixels(size, "gray9", &[0]).err(),
                ];
                let told = errors.iter().filter(|error| matches!(error, Some(ImageError::Unsupported(_)))).count();
                answer(format!("{{\"unsupported\":{told},\"format\":\"{}\"}}", image.format()))
            }
            "other" => Err(BlockError::Other(config)),
            // Reads a region, inverts it, and gives back a canvas with it and an image made of it.
            "pixels" => {
                let image = first()?;
                let area = Rect { x: 1, y: 1, width: 2, height: 1 };
                let pixels: Vec<u8> = image.read(area, "rgb8").map_err(refused)?.iter().map(|value| 255 - value).collect();
                let canvas = Canvas::over(image).map_err(refused)?;
                canvas.write(area, "rgb8", &pixels).map_err(refused)?;
                let part = Image::from_pixels(Size { width: 2, height: 1 }, "rgb8", &pixels).map_err(refused)?;
                let document = r#"{"image":{"$image":0},"part":{"$image":1}}"#.to_owned();
                Ok(Payload { document, images: vec![Canvas::finish(canvas), part], buffers: Vec::new() })
            }
            // A 6×4 picture whose values rise along the rows, grey and in colours.
            "image_ops" => image_ops().map_err(refused).and_then(answer),
            other => Err(BlockError::Failed(format!("no block {other}"))),
        }
    }
}

impl checks::Guest for Package {
    fn check(block: String, config: String, context: String) -> String {
        match block.as_str() {
            "echo" => format!(r#"[{{"code":"E-TEST","pointer":"/config","message":{:?}}}]"#, format!("{config} {context}")),
            "not_json" => "no array".to_owned(),
            _ => "[]".to_owned(),
        }
    }
}

impl batches::Guest for Package {
    fn run_many(block: String, config: String, items: Vec<Payload>) -> Vec<Result<Payload, BlockError>> {
        let most = if config == "one less" { items.len() - 1 } else { items.len() };
        items.into_iter().take(most).map(|inputs| Self::run(block.clone(), config.clone(), inputs)).collect()
    }
}

export!(Package);
