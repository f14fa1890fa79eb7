/// `value` rounded half away from zero at `decimals` decimals.
///
/// Results are rounded once, where they are made: boxes to 6 (normalised) and 2 (pixels) decimals, confidence to 4.
pub fn round_to(value: f64, decimals: u32) -> f64 {
    let scale = 10f64.powi(decimals as i32);
    let scaled = value * scale;
    // Past 2^52 a float has no fraction left, and the product may be infinite.
    if scaled.abs() < 4_503_599_627_370_496.0 { scaled.round() / scale } else { value }
}

#[cfg(test)]
mod tests {
    use super::round_to;

    #[test]
    fn rounds_half_away_from_zero() {
        for (value, decimals, expected) in
            [(0.125, 2, 0.13), (-0.125, 2, -0.13), (2.5, 0, 3.0), (1e300, 6, 1e300), (0.81818182, 6, 0.818182)]
        {
            assert_eq!(round_to(value, decimals), expected);
        }
    }
}
