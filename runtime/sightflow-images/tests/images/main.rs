//! What the crate promises, as tables.

mod budget;
mod cache;
mod decode;
mod draw;
mod formats;
mod hostile;
mod layers;
mod more_opencv;
mod opencv;
mod resample;
mod text;
mod views;
mod work;

use bytes::Bytes;
use sightflow_images::{Image, PixelFormat, Pixels, Probe, probe};
use sightflow_types::Digest;

/// A picture in which every pixel differs from its neighbours: (x, y, x + y).
fn gradient(width: u32, height: u32) -> Image {
    let data = (0..height).flat_map(|y| (0..width).flat_map(move |x| [x as u8, y as u8, (x + y) as u8])).collect();
    Image::from_pixels(Pixels::new(width, height, PixelFormat::Rgb8, data).unwrap())
}

fn filled(width: u32, height: u32, color: [u8; 3]) -> Image {
    Image::from_pixels(Pixels::filled(width, height, PixelFormat::Rgb8, &color).unwrap())
}

fn gray(width: u32, height: u32, data: &[u8]) -> Image {
    Image::from_pixels(Pixels::new(width, height, PixelFormat::Gray8, data.to_vec()).unwrap())
}

/// A black surface.
fn blank(width: u32, height: u32) -> sightflow_images::Canvas {
    sightflow_images::Canvas::blank(width, height, PixelFormat::Rgb8, sightflow_images::Ink::opaque(0, 0, 0)).unwrap()
}

/// A black, grey PNG.
fn encoded(width: u32, height: u32) -> Vec<u8> {
    let pixels = gray(width, height, &vec![0; (width * height) as usize]);
    sightflow_images::encode(&pixels, sightflow_images::EncodeFormat::Png).unwrap().to_vec()
}

/// The pixel at (x, y).
fn at(image: &Image, x: u32, y: u32) -> Vec<u8> {
    image.pixels().unwrap().get(x, y).to_vec()
}

/// A digest that is as good as any other for bytes that nobody looks up.
fn some_digest(seed: u8) -> Digest {
    Digest::from_bytes([seed; 32])
}

fn open(bytes: Vec<u8>) -> (Image, Probe) {
    let probe = probe(&bytes).unwrap();
    let sum = bytes.iter().fold(0u8, |sum, byte| sum.wrapping_mul(31).wrapping_add(*byte));
    let mut digest = [sum; 32];
    digest[..8].copy_from_slice(&(bytes.len() as u64).to_le_bytes());
    let options =
        sightflow_images::ReadOptions { cache: Some(sightflow_images::PixelCache::new(1 << 20)), ..Default::default() };
    (Image::from_encoded_with(Bytes::from(bytes), Digest::from_bytes(digest), probe, options), probe)
}
