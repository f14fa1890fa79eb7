//! One package of blocks that misbehave, each in its own way, and of some that behave.
//!
//! `config` is the block's argument as plain text where it needs one.

wit_bindgen::generate!({ path: "../../../../wit/v0_1", world: "block-package" });

use exports::sightflow::block::blocks::{BlockError, Guest, Payload};
use sightflow::block::images::{
    Canvas, DrawOp, ImageError, Ink, Pixel, PixelFormat, Rect, Rectangle, ResizeFilter, Size, Text, from_pixels,
};
use sightflow::block::log::{Level, log};

struct Package;

const BLOCKS: [&str; 30] = [
    "echo", "spin", "spin_in_host", "grow", "recurse", "unreachable", "panic", "handles", "handles_dropped", "output", "log", "print",
    "sleep", "environment", "files", "network", "clock", "random", "exit", "fail", "retry", "bad_input", "bad_config", "not_json", "foreign_image",
    "copy", "create", "process", "arguments", "pixels",
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
            // Megabytes of text in one host call.
            "arguments" => {
                let ink = Ink { r: 255, g: 0, b: 0, opacity: 1.0 };
                let text = || Text { content: "x".repeat(1 << 20), at: Pixel { x: 0, y: 0 }, height: 1.0, ink, background: None };
                let ops: Vec<_> = (0..number()?).map(|_| DrawOp::Text(text())).collect();
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
