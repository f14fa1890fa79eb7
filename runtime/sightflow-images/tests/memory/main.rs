//! What operations really allocate is no more than what they say.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use sightflow_images::{
    Canvas, DrawOp, EncodeFormat, Image, ImageError, Ink, Path, PixelCache, PixelFormat, Pixels, Point, ReadOptions,
    ResizeFilter, Work, encode, encode_in, probe, thumbnail_in,
};
use sightflow_memory::MemoryPool;
use sightflow_types::Digest;

struct Counting;

static LIVE: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call is passed on unchanged to the system's allocator; the counters do not touch what it gives.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let live = LIVE.fetch_add(layout.size(), Ordering::Relaxed) + layout.size();
        PEAK.fetch_max(live, Ordering::Relaxed);
        // SAFETY: the caller's promises about `layout` are passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        let live = LIVE.fetch_add(layout.size(), Ordering::Relaxed) + layout.size();
        PEAK.fetch_max(live, Ordering::Relaxed);
        // SAFETY: the caller's promises about `layout` are passed on.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller's promises about `pointer` and `layout` are passed on.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// One measurement at a time: there is one counter.
fn alone() -> MutexGuard<'static, ()> {
    static LOCK: Mutex<()> = Mutex::new(());
    LOCK.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Bytes that nobody counts: rows, tables, the code of small things.
const SLACK: usize = 3 << 20;

fn peak_of<T>(work: impl FnOnce() -> T) -> (usize, T) {
    let before = LIVE.load(Ordering::Relaxed);
    PEAK.store(before, Ordering::Relaxed);
    let made = work();
    (PEAK.load(Ordering::Relaxed) - before, made)
}

fn image(width: u32, height: u32, format: PixelFormat) -> Image {
    let length = width as usize * height as usize * format.channels();
    Image::from_pixels(Pixels::new(width, height, format, (0..length).map(|i| (i / 7) as u8).collect()).unwrap())
}

#[track_caller]
fn check<T>(name: &str, operation: impl FnOnce(&Work) -> Result<T, ImageError>) {
    let pool = MemoryPool::new(1 << 40);
    let work = Work::new(pool.clone());
    let (peak, made) = peak_of(|| operation(&work).unwrap_or_else(|error| panic!("{name}: {error}")));
    let said = work.peak_bytes() as usize;
    assert!(peak <= said + SLACK, "{name} allocated {peak} bytes and said {said}");
    assert!(said <= 6 * peak + SLACK, "{name} said {said} bytes and allocated {peak}");
    drop(made);
    assert_eq!(pool.used(), 0, "{name}");
}

#[test]
fn operations_say_what_they_allocate() {
    let _alone = alone();
    for format in [PixelFormat::Gray8, PixelFormat::Rgb8, PixelFormat::Rgba8] {
        let source = image(2000, 1500, format);
        let dot = image(1, 1, format);
        for filter in [
            ResizeFilter::Nearest,
            ResizeFilter::Bilinear,
            ResizeFilter::Bicubic,
            ResizeFilter::Lanczos3,
            ResizeFilter::Area,
        ] {
            for (width, height) in [(4000, 3000), (500, 400), (1, 3000), (4000, 2), (1, 1)] {
                let name = format!("{format:?} {filter:?} to {width}×{height}");
                check(&name, |work| source.resize_in(work, width, height, filter));
                check(&format!("{name} from a dot"), |work| dot.resize_in(work, width, height, filter));
            }
        }
        check("blur", |work| source.blur_in(work, 3.0));
        check("wide blur", |work| source.blur_in(work, 300.0));
        check("rotate", |work| source.rotate_in(work, 3, true));
        check("gray", |work| source.convert_in(work, PixelFormat::Gray8));
        check("alpha", |work| source.convert_in(work, PixelFormat::Rgba8));
        check("canvas", |work| {
            let mut canvas = Canvas::over_in(work, &source)?;
            let points = (0..3000).map(|i| Point { x: i % 2000, y: if i % 2 == 0 { 0 } else { 1500 } }).collect();
            let fill = Some(Ink { r: 9, g: 9, b: 9, opacity: 0.5 });
            canvas.draw_in(work, &[DrawOp::Path(Path { points, closed: true, fill, stroke: None })])?;
            Ok(canvas.finish())
        });
    }
}

fn stored(bytes: &Bytes, keep_alpha: bool) -> Image {
    let options = ReadOptions { keep_alpha, cache: Some(PixelCache::new(0)), ..Default::default() };
    Image::from_encoded_with(bytes.clone(), Digest::from_bytes([1; 32]), probe(bytes).unwrap(), options)
}

/// Progressive files and files with a turn; the encoders here make none.
fn turned(jpeg: &[u8]) -> Bytes {
    let exif = b"\xff\xe1\0\x22Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0";
    [&jpeg[..2], exif, &jpeg[2..]].concat().into()
}

#[test]
fn decodes_say_what_they_allocate() {
    let _alone = alone();
    for format in [PixelFormat::Gray8, PixelFormat::Rgb8, PixelFormat::Rgba8] {
        let source = image(2000, 1500, format);
        for encoding in [EncodeFormat::Png, EncodeFormat::Jpeg { quality: 90 }, EncodeFormat::Webp] {
            let bytes = encode(&source, encoding).unwrap();
            for keep_alpha in [false, true] {
                let name = format!("{format:?} {encoding:?} alpha {keep_alpha}");
                check(&name, |work| Ok(Image::from_pixels(stored(&bytes, keep_alpha).pixels_in(work)?)));
            }
            if matches!(encoding, EncodeFormat::Jpeg { .. }) {
                let turned = turned(&bytes);
                assert_eq!(probe(&turned).unwrap().orientation, 6);
                check("turned", |work| Ok(Image::from_pixels(stored(&turned, false).pixels_in(work)?)));
            }
        }
    }
}

#[test]
fn thumbnails_at_the_same_time_stay_within_a_small_budget() {
    let _alone = alone();
    let bytes = encode(&image(3000, 3000, PixelFormat::Gray8), EncodeFormat::Png).unwrap();
    let one = {
        let work = Work::new(MemoryPool::new(1 << 40));
        stored(&bytes, false).view_in(&work).unwrap();
        work.peak_bytes()
    };
    let pool = MemoryPool::new(one + one / 2);
    let (peak, ()) = peak_of(|| {
        std::thread::scope(|scope| {
            for _ in 0..6 {
                scope.spawn(|| {
                    let work =
                        Work::new(pool.clone()).until(std::time::Instant::now() + std::time::Duration::from_secs(120));
                    thumbnail_in(&work, &stored(&bytes, false), 256, 256, sightflow_images::Fit::Contain).unwrap();
                });
            }
        });
    });
    assert!(peak as u64 <= pool.capacity() + 6 * SLACK as u64, "{peak} of {}", pool.capacity());
    assert_eq!(pool.used(), 0);
}

#[test]
fn large_resizes_at_the_same_time_stay_within_a_small_budget() {
    let _alone = alone();
    let dot = image(1, 1, PixelFormat::Rgba8);
    let pool = MemoryPool::new(150_000_000);
    let (peak, ()) = peak_of(|| {
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    let work =
                        Work::new(pool.clone()).until(std::time::Instant::now() + std::time::Duration::from_secs(120));
                    dot.resize_in(&work, 4000, 4000, ResizeFilter::Area).unwrap();
                });
            }
        });
    });
    assert!(peak as u64 <= pool.capacity() + 8 * SLACK as u64, "{peak} of {}", pool.capacity());
    assert_eq!(pool.used(), 0);
}

#[test]
fn files_say_what_they_take_while_they_are_written() {
    let _alone = alone();
    let mut state = 1_u32;
    let noise = |_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    let noise = Pixels::new(1600, 1200, PixelFormat::Rgb8, (0..1600 * 1200 * 3).map(noise).collect()).unwrap();
    let noise = Image::from_pixels(noise);
    for format in [EncodeFormat::Png, EncodeFormat::Jpeg { quality: 100 }, EncodeFormat::Webp] {
        check(&format!("{format:?}"), |work| encode_in(work, &noise, format));
        let part = noise.crop(sightflow_images::Area { x: 1, y: 0, width: 1599, height: 1200 }).unwrap();
        check(&format!("{format:?} of a part"), |work| encode_in(work, &part, format));
        // Its rows are copied first.
        let outcome = encode_in(&Work::default().most_bytes(1 << 20), &part, format);
        assert_eq!(outcome.map_err(|error| error.kind()), Err("allowance"), "{format:?}");
    }
    let small = Work::new(MemoryPool::new(1 << 20));
    let soon = std::time::Instant::now() + std::time::Duration::from_secs(2);
    let refused = encode_in(&small.until(soon), &noise, EncodeFormat::Jpeg { quality: 100 });
    assert!(matches!(refused, Err(ImageError::OutOfBudget(_))), "{refused:?}");
    let late = encode_in(&Work::default().until(std::time::Instant::now()), &noise, EncodeFormat::Png);
    assert!(matches!(late, Err(ImageError::Stopped)), "{late:?}");
}

/// A zlib stream of `count` zeros: fixed codes, a literal, then "258 times the byte before" as often as needed.
fn zeros_packed(count: usize) -> Vec<u8> {
    let (mut out, mut bits, mut held) = (vec![0x78, 0x01], 0_u32, 0);
    let mut put = |value: u32, length: u32| {
        // Codes are written from their highest bit on.
        for bit in (0..length).rev() {
            bits |= (value >> bit & 1) << held;
            held += 1;
            if held == 8 {
                out.push(bits as u8);
                (bits, held) = (0, 0);
            }
        }
    };
    put(0b110, 3);
    put(0b0011_0000, 8);
    for _ in 0..count / 258 {
        put(0b1100_0101, 8);
        put(0, 5);
    }
    put(0, 7 + 7);
    // The sum of one and no other bytes, times their number, as Adler-32 has it.
    out.extend((((1 + count / 258 * 258) % 65521) as u32 * 65536 + 1).to_be_bytes());
    out
}

fn png_chunk(kind: &[u8; 4], data: &[u8]) -> Vec<u8> {
    let body = [kind.as_slice(), data].concat();
    let mut sum = u32::MAX;
    for byte in &body {
        sum ^= u32::from(*byte);
        for _ in 0..8 {
            sum = sum >> 1 ^ if sum & 1 == 1 { 0xedb8_8320 } else { 0 };
        }
    }
    [(data.len() as u32).to_be_bytes().as_slice(), &body, &(!sum).to_be_bytes()].concat()
}

#[test]
fn a_colour_profile_is_not_unpacked() {
    let _alone = alone();
    let header = [0, 0, 0, 1, 0, 0, 0, 1, 8, 0, 0, 0, 0];
    let profile = [b"x\0\0".as_slice(), &zeros_packed(200 << 20)].concat();
    let png = [
        b"\x89PNG\r\n\x1a\n".to_vec(),
        png_chunk(b"IHDR", &header),
        png_chunk(b"iCCP", &profile),
        // A filter of 0 and a grey of 7, stored as they are.
        png_chunk(b"IDAT", b"\x78\x01\x01\x02\0\xfd\xff\0\x07\0\x09\0\x08"),
        png_chunk(b"IEND", b""),
    ];
    let png = Bytes::from(png.concat());
    let (peak, found) = peak_of(|| probe(&png));
    let found = found.expect("a picture of one pixel");
    assert!(peak < 16 << 20, "probing allocated {peak} bytes");
    assert!(!found.animated);
    let work = Work::new(MemoryPool::new(1 << 30));
    let (peak, thumbnail) = peak_of(|| thumbnail_in(&work, &stored(&png, false), 8, 8, sightflow_images::Fit::Contain));
    thumbnail.expect("decoded");
    assert!(peak < 16 << 20, "decoding allocated {peak} bytes");
}
