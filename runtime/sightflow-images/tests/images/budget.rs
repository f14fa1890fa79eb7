//! Bytes: taken before they are allocated, given back when the pixels go.

use std::sync::Arc;
use std::time::{Duration, Instant};

use sightflow_images::{
    Allowance, Area, Canvas, DrawOp, Image, ImageError, Ink, PixelCache, PixelFormat, Pixels, Point, ReadOptions,
    Rectangle, Work, probe,
};
use sightflow_memory::{MemoryPool, Use};

use crate::{encoded, filled, some_digest};

fn stored(cache: &Arc<PixelCache>, seed: u8, width: u32, height: u32) -> Image {
    let bytes = encoded(width, height);
    let found = probe(&bytes).unwrap();
    let options = ReadOptions { cache: Some(Arc::clone(cache)), ..Default::default() };
    Image::from_encoded_with(bytes.into(), some_digest(seed), found, options)
}

#[test]
fn pixels_are_counted_while_they_live() {
    let pool = MemoryPool::new(10_000_000);
    let work = Work::new(pool.clone());
    let source = filled(100, 100, [0; 3]);
    let first = source.rotate_in(&work, 1, false).unwrap();
    let second = first.clone();
    assert_eq!(pool.used_by(), [0, 30_000, 0, 0, 0]);
    drop(first);
    assert_eq!(pool.used(), 30_000, "shared with the second");
    let mut canvas = Canvas::over_in(&work, &second).unwrap();
    assert_eq!(pool.used(), 30_000, "nothing was drawn");
    let dot = Rectangle {
        from: Point::default(),
        to: Point::default(),
        corner_radius: 0,
        fill: Some(Ink::opaque(1, 2, 3)),
        stroke: None,
    };
    canvas.draw_in(&work, &[DrawOp::Rectangle(dot.clone())]).unwrap();
    assert_eq!(pool.used(), 60_000);
    drop(second);
    assert_eq!(pool.used(), 30_000, "the canvas let go of its base");
    drop(canvas.finish());
    let mut blank = Canvas::blank_in(&work, 100, 100, PixelFormat::Rgb8, Ink::opaque(0, 0, 0)).unwrap();
    blank.draw_in(&work, &[DrawOp::Rectangle(dot)]).unwrap();
    assert_eq!(pool.used(), 30_000, "nobody else has a blank surface");
    drop(blank);
    let read = source.read_in(&work, Area { x: 0, y: 0, width: 10, height: 10 }, PixelFormat::Gray8).unwrap();
    assert_eq!((pool.used(), work.peak_bytes()), (100, 60_000));
    drop(read);
    assert_eq!(pool.used(), 0);
}

#[test]
fn an_account_is_bounded_and_nothing_is_done_beyond_it() {
    let pool = MemoryPool::new(10_000_000);
    let work = Work::new(pool.clone()).most_bytes(50_000);
    let source = filled(100, 100, [0; 3]);
    let first = source.rotate_in(&work, 1, false).unwrap();
    let spent = work.spent();
    assert_eq!(source.rotate_in(&work, 2, false).map(drop), Err(ImageError::Allowance(Allowance::Bytes)));
    assert_eq!(work.spent(), spent, "refused before the work");
    drop(first);
    source.rotate_in(&work, 2, false).unwrap();
    assert_eq!(pool.used(), 0);
}

#[test]
fn a_budget_that_is_too_small_is_told_from_one_that_is_full() {
    let pool = MemoryPool::new(25_000);
    let work = Work::new(pool.clone()).until(Instant::now());
    let source = filled(100, 100, [0; 3]);
    let error = source.rotate_in(&work, 1, false).unwrap_err();
    assert!(matches!(&error, ImageError::OutOfBudget(full) if full.wanted > full.capacity), "{error:?}");
    assert_eq!((error.kind(), error.is_of_the_caller()), ("out_of_budget", true));
    let small = filled(50, 100, [0; 3]);
    let others = pool.try_reserve(Use::Bodies, 20_000).unwrap();
    let error = small.rotate_in(&work, 1, false).unwrap_err();
    assert!(matches!(&error, ImageError::OutOfBudget(full) if full.wanted <= full.capacity), "{error:?}");
    drop(others);
    small.rotate_in(&work, 1, false).unwrap();
}

#[test]
fn a_cache_makes_room_for_who_waits() {
    let pool = MemoryPool::new(500_000);
    let cache = PixelCache::new(1 << 30);
    let work = Work::new(pool.clone()).until(Instant::now() + Duration::from_secs(60));
    // Each takes 30,000 bytes while it lives and more while it is unpacked: all are kept as long as nobody else wants room.
    let images: Vec<Image> = (0..20).map(|seed| stored(&cache, seed, 100, 100)).collect();
    for image in &images {
        image.view_in(&work).unwrap();
    }
    let kept = cache.stats();
    assert!(kept.evictions > 0 && kept.images > 5 && pool.used() == kept.bytes as u64, "{kept:?}");
    let held = images[19].view_in(&work).unwrap();
    let model = pool.reserve_blocking(Use::Models, 470_000, Instant::now()).unwrap();
    assert_eq!((cache.stats().images, pool.used()), (0, 500_000), "all but what is held");
    drop((held, model));
    assert_eq!(pool.used(), 0);
}

#[test]
fn decodes_at_the_same_time_share_a_small_budget() {
    // One needs about 4.2 MB (grey, unpacked to RGB): there is room for one and a half.
    let pool = MemoryPool::new(6_000_000);
    let cache = PixelCache::new(1 << 30);
    std::thread::scope(|scope| {
        for seed in 0..6 {
            let (pool, cache) = (pool.clone(), &cache);
            scope.spawn(move || {
                let work = Work::new(pool.clone()).until(Instant::now() + Duration::from_secs(120));
                let small = stored(cache, seed, 1000, 1000).view_in(&work).map(|view| view.row(999)[2999]);
                assert_eq!(small, Ok(0));
                assert!(pool.used() <= 6_000_000);
                assert!(work.peak_bytes() > 3_000_000, "counted with its temporaries: {}", work.peak_bytes());
            });
        }
    });
    cache.clear();
    assert_eq!(pool.used(), 0);
}

#[test]
fn one_who_gives_up_does_not_spoil_another_s_decode() {
    let pool = MemoryPool::new(100_000_000);
    let cache = PixelCache::new(1 << 30);
    let image = stored(&cache, 1, 2000, 2000);
    std::thread::scope(|scope| {
        for impatient in 0..8 {
            let (image, pool) = (image.clone(), pool.clone());
            scope.spawn(move || {
                let steps = if impatient % 2 == 0 { 1000 } else { u64::MAX };
                let seen = image.view_in(&Work::new(pool).most_steps(steps)).map(drop);
                assert!(steps == 1000 || seen.is_ok(), "{seen:?}");
            });
        }
    });
}

#[test]
fn a_small_part_does_not_keep_the_whole_alive() {
    let pool = MemoryPool::new(10_000_000);
    let work = Work::new(pool.clone());
    let area = |width, height| Area { x: 3, y: 4, width, height };
    let whole = Image::from_pixels(
        Pixels::new_in(&work, 100, 100, PixelFormat::Rgb8, filled(100, 100, [5; 3]).pixels().unwrap().data().to_vec())
            .unwrap(),
    );
    let (small, large) = (whole.crop(area(10, 10)).unwrap(), whole.crop(area(90, 90)).unwrap());
    let (small_own, large_own) = (small.detached_in(&work).unwrap(), large.detached_in(&work).unwrap());
    assert!(!small_own.is_same(&small) && large_own.is_same(&large));
    assert_eq!(small_own.pixels().unwrap().data(), small.pixels().unwrap().data());
    drop((whole, small, large, large_own));
    assert_eq!(pool.used(), 300);
    // What is stored can be read again.
    let stored = stored(&PixelCache::new(1 << 20), 1, 100, 100).crop(area(10, 10)).unwrap();
    assert!(stored.detached_in(&work).unwrap().is_same(&stored));
}
