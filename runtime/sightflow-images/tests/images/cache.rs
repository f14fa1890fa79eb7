use std::sync::{Arc, Barrier};

use bytes::Bytes;
use sightflow_images::{EncodeFormat, Image, PixelCache, ReadOptions, encode, probe};

use crate::{filled, some_digest};

/// A stored image of 10×10, 300 bytes of pixels.
fn stored(cache: &Arc<PixelCache>, seed: u8) -> Image {
    let bytes = encode(&filled(10, 10, [seed; 3]), EncodeFormat::Png).unwrap();
    let found = probe(&bytes).unwrap();
    let options = ReadOptions { cache: Some(Arc::clone(cache)), ..Default::default() };
    Image::from_encoded_with(bytes, some_digest(seed), found, options)
}

#[test]
fn the_bound_holds_and_the_oldest_leave() {
    let cache = PixelCache::new(1000);
    let images: Vec<Image> = (0..5).map(|seed| stored(&cache, seed)).collect();
    for image in &images[..3] {
        image.pixels().unwrap();
    }
    assert_eq!((cache.stats().bytes, cache.stats().images, cache.stats().evictions), (900, 3, 0));
    // 0 was used again, so 1 leaves for 3.
    images[0].pixels().unwrap();
    images[3].pixels().unwrap();
    assert_eq!((cache.stats().bytes, cache.stats().images, cache.stats().evictions), (900, 3, 1));
    let misses = cache.stats().misses;
    images[0].pixels().unwrap();
    assert_eq!(cache.stats().misses, misses, "0 was kept");
    images[1].pixels().unwrap();
    assert_eq!(cache.stats().misses, misses + 1, "1 had left");
    for image in images.iter().cycle().take(50) {
        image.pixels().unwrap();
        assert!(cache.stats().bytes <= 1000);
    }
    cache.clear();
    assert_eq!((cache.stats().bytes, cache.stats().images), (0, 0));
}

#[test]
fn what_is_larger_than_the_cache_is_not_kept() {
    let cache = PixelCache::new(299);
    let image = stored(&cache, 7);
    assert_eq!(image.pixels().unwrap().get(9, 9), [7, 7, 7]);
    assert_eq!((cache.stats().bytes, cache.stats().misses), (0, 1));
}

#[test]
fn an_image_is_decoded_when_it_is_looked_at_and_once() {
    let cache = PixelCache::new(1 << 20);
    let image = stored(&cache, 9);
    assert_eq!((image.size(), cache.stats().misses), ((10, 10), 0));
    let threads = 8;
    let start = Arc::new(Barrier::new(threads));
    let handles: Vec<_> = (0..threads)
        .map(|_| {
            let (image, start) = (image.clone(), Arc::clone(&start));
            std::thread::spawn(move || {
                start.wait();
                image.pixels().unwrap()
            })
        })
        .collect();
    let pixels: Vec<_> = handles.into_iter().map(|handle| handle.join().unwrap()).collect();
    assert!(pixels.iter().all(|other| Arc::ptr_eq(other, &pixels[0])));
    assert_eq!((cache.stats().misses, cache.stats().hits), (1, 7));
    // Another handle on the same blob shares its pixels.
    assert!(Arc::ptr_eq(&stored(&cache, 9).pixels().unwrap(), &pixels[0]));
}

#[test]
fn a_failure_is_told_to_everybody_and_not_remembered() {
    let cache = PixelCache::new(1 << 20);
    let bytes = encode(&filled(10, 10, [1; 3]), EncodeFormat::Png).unwrap();
    let found = probe(&bytes).unwrap();
    let options = || ReadOptions { cache: Some(Arc::clone(&cache)), ..Default::default() };
    let broken = Bytes::copy_from_slice(&bytes[..bytes.len() - 20]);
    let image = Image::from_encoded_with(broken, some_digest(3), found, options());
    for attempt in 1..3 {
        assert_eq!(image.pixels().unwrap_err().kind(), "undecodable");
        assert_eq!(cache.stats().misses, attempt);
    }
    assert_eq!(cache.stats().bytes, 0);
    assert!(Image::from_encoded_with(bytes, some_digest(3), found, options()).pixels().is_ok());
}
