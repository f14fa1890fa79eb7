//! One package of blocks that misbehave, each in its own way, and of some that behave.
//!
//! `config` is the block's argument as plain text where it needs one.

wit_bindgen::generate!({ path: "../../../../wit/v0_1", world: "block-package" });

use exports::sightflow::block::blocks::{BlockError, Guest, Payload};
use sightflow::block::images::{
    Canvas, DrawOp, Ellipse, ImageError, Ink, Outside, Path, Pixel, PixelFormat, Rect, Rectangle, ResizeFilter, Size,
    Stroke, Text, from_pixels, text_size,
};
use sightflow::block::log::{Level, log};

struct Package;

const BLOCKS: [&str; 40] = [
    "echo", "spin", "spin_in_host", "grow", "recurse", "unreachable", "panic", "handles", "handles_dropped", "output", "log", "print",
    "sleep", "environment", "files", "network", "clock", "random", "exit", "fail", "retry", "bad_input", "bad_config", "not_json", "foreign_image",
    "copy", "create", "hold", "process", "arguments", "pixels", "draw", "text_size", "error_text", "error_json", "log_text",
    "grow_refused", "refused_then_granted", "refused_then_fails", "wrong_size",
];

/// A call failed because the host refused.
fn refused(error: ImageError) -> BlockError {
    BlockError::Failed(format!("{error:?}"))
}

fn answer(document: String) -> Result<Payload, BlockError> {
    Ok(Payload { document, images: Vec::new() })
}

/// Recursion that no optimiser turns into a loop.
#[expect(unconditional_recursion, reason = "on purpose")]
#[inline(never)]
fn recurse(depth: u64) -> u64 {
    let frame = std::hint::black_box([depth; 64]);
    recurse(depth + 1) + std::hint::black_box(frame)[7]
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

    fn check(block: String, config: String, context: String) -> String {
        match block.as_str() {
            "echo" => format!(r#"[{{"code":"E-TEST","pointer":"/config","message":{:?}}}]"#, format!("{config} {context}")),
            "not_json" => "no array".to_owned(),
            _ => "[]".to_owned(),
        }
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
                    first()?.read(Rect { x: 0, y: 0, width, height: 1 }, PixelFormat::Rgb8).map_err(refused)?;
                }
                answer("{}".to_owned())
            }
            "create" => {
                for _ in 0..number()? {
                    first()?.resize(Size { width: 100, height: 100 }, ResizeFilter::Nearest).map_err(refused)?;
                }
                answer("{}".to_owned())
            }
            "process" => {
                let canvas = Canvas::blank(Size { width: 1000, height: 1000 }, 0, 0, 0).map_err(refused)?;
                let ink = Ink { r: 255, g: 0, b: 0, opacity: 1.0 };
                let whole = Rectangle {
                    from: Pixel { x: 0, y: 0 },
                    to: Pixel { x: 999, y: 999 },
                    corner_radius: 0,
                    fill: Some(ink),
                    stroke: None,
                };
                let ops: Vec<_> = (0..number()?).map(|_| DrawOp::Rectangle(whole)).collect();
                canvas.draw(&ops).map_err(refused)?;
                answer("{}".to_owned())
            }
            // Keeps so many pictures of 30,000 bytes.
            "hold" => {
                let pictures = (0..number()?)
                    .map(|_| first()?.resize(Size { width: 100, height: 100 }, ResizeFilter::Nearest).map_err(refused))
                    .collect::<Result<Vec<_>, _>>()?;
                answer(format!("{{\"pictures\":{}}}", pictures.len()))
            }
            // Draw lists that would take for ever.
            "draw" => {
                let ink = Ink { r: 255, g: 0, b: 0, opacity: 0.5 };
                let (fill, stroke) = (Some(ink), Some(Stroke { ink, width: 3 }));
                let at = |x, y| Pixel { x, y };
                let rectangle = |x| DrawOp::Rectangle(Rectangle { from: at(x, 0), to: at(x + 8, 16_383), corner_radius: 0, fill, stroke });
                let ellipse = |end_angle| {
                    let (radius_x, radius_y) = (4096, 4096);
                    DrawOp::Ellipse(Ellipse { center: at(4, 4), radius_x, radius_y, start_angle: 0.0, end_angle, fill, stroke })
                };
                let zigzag = |left: i32| (0..16_000).map(|i| at(left + i % 64, if i % 2 == 0 { 0 } else { 16_383 })).collect();
                let path = |left| Path { points: zigzag(left), closed: true, fill, stroke };
                let text = |length, x, height| {
                    DrawOp::Text(Text { content: "W".repeat(length), at: at(x, 0), height, ink, background: None })
                };
                let (size, ops): (_, Vec<_>) = match config.as_str() {
                    "rectangles" => ((1, 16_384), (0..500_000).map(|_| rectangle(-9)).collect()),
                    "ellipses" => ((8, 8), (0..100_000).map(|_| ellipse(360.0)).collect()),
                    "arcs" => ((8, 8), (0..100_000).map(|_| ellipse(350.0)).collect::<Vec<_>>()),
                    "polygon" => ((64, 16_384), vec![DrawOp::Path(path(0))]),
                    "polyline" => ((64, 16_384), vec![DrawOp::Path(path(-60))]),
                    "text" => ((64, 64), vec![text(20 << 20, 0, 20.0)]),
                    "texts" => ((64, 64), (0..10_000).map(|_| text(4000, -100_000, 20.0)).collect()),
                    "letters" => ((4096, 4096), (0..100).map(|_| text(20, 0, 4096.0)).collect()),
                    "numbers" => ((64, 64), vec![text(9, i32::MIN, f32::NAN), text(9, i32::MAX, f32::INFINITY)]),
                    other => return Err(BlockError::BadConfig(other.to_owned())),
                };
                let canvas = Canvas::blank(Size { width: size.0, height: size.1 }, 0, 0, 0).map_err(refused)?;
                canvas.draw(&ops).map_err(refused)?;
                answer("{}".to_owned())
            }
            "text_size" => {
                let text = "m".repeat(number()? as usize);
                loop {
                    std::hint::black_box(text_size(&text, 20.0));
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
                let large = Size { width: 1000, height: 1000 };
                let error = Canvas::blank(large, 0, 0, 0).err();
                if block == "refused_then_granted" {
                    Canvas::blank(Size { width: 10, height: 10 }, 0, 0, 0).map_err(refused)?;
                }
                Err(BlockError::Failed(format!("no luck: {}", error.is_some())))
            }
            // A size that the pixels do not have costs nothing.
            "wrong_size" => {
                let error = from_pixels(Size { width: 10_000, height: 10_000 }, PixelFormat::Rgb8, &[0; 12]).err();
                first()?.resize(Size { width: 100, height: 100 }, ResizeFilter::Nearest).map_err(refused)?;
                answer(format!("{{\"refused\":{}}}", matches!(error, Some(ImageError::Invalid(_)))))
            }
            // Megabytes of rectangles in one host call.
            "arguments" => {
                let ink = Ink { r: 255, g: 0, b: 0, opacity: 1.0 };
                let areas = vec![Rect { x: 0, y: 0, width: 9, height: 9 }; 60_000];
                let ops: Vec<_> = (0..number()?).map(|_| DrawOp::Outside(Outside { areas: areas.clone(), ink })).collect();
                let canvas = Canvas::blank(Size { width: 8, height: 8 }, 0, 0, 0).map_err(refused)?;
                canvas.draw(&ops).map_err(refused)?;
                answer("{}".to_owned())
            }
            // Reads a region, inverts it, and gives back a canvas with it and an image made of it.
            "pixels" => {
                let image = first()?;
                let area = Rect { x: 1, y: 1, width: 2, height: 1 };
                let pixels: Vec<u8> = image.read(area, PixelFormat::Rgb8).map_err(refused)?.iter().map(|value| 255 - value).collect();
                let canvas = Canvas::over(image).map_err(refused)?;
                canvas.write(area, PixelFormat::Rgb8, &pixels).map_err(refused)?;
                let part = from_pixels(Size { width: 2, height: 1 }, PixelFormat::Rgb8, &pixels).map_err(refused)?;
                let document = r#"{"image":{"$image":0},"part":{"$image":1}}"#.to_owned();
                Ok(Payload { document, images: vec![Canvas::finish(canvas), part] })
            }
            other => Err(BlockError::Failed(format!("no block {other}"))),
        }
    }
}

export!(Package);
