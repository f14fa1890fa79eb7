//! Constants of the file.

use super::TensorProto;
use crate::value::{HostData, HostTensor, elements};

impl TensorProto {
    /// Decodes a constant of the file.
    pub(crate) fn to_host(&self) -> Result<HostTensor, String> {
        const FLOAT: i32 = 1;
        const INT32: i32 = 6;
        const INT64: i32 = 7;
        const BOOL: i32 = 9;
        const FLOAT16: i32 = 10;
        if let Some(file) = self.elsewhere() {
            return Err(format!(
                "its weights are kept in another file, `{file}`; save it as one file: \
                 onnx.save_model(onnx.load(\"model.onnx\"), \"one.onnx\")"
            ));
        }
        let shape: Option<Vec<usize>> = self.dims.iter().map(|dim| usize::try_from(*dim).ok()).collect();
        let shape = shape.ok_or_else(|| format!("the constant `{}` has a negative dimension", self.name))?;
        let raw = self.raw_data.as_slice();
        let narrow = |bits: &i32| i64::from(*bits);
        let data = match (self.data_type, raw.is_empty()) {
            (FLOAT, true) => HostData::Float(self.float_data.clone()),
            (FLOAT, false) => HostData::Float(words(raw).map(f32::from_le_bytes).collect()),
            (FLOAT16, true) => {
                HostData::Float(self.int32_data.iter().map(|bits| half_to_float(*bits as u16)).collect())
            }
            (FLOAT16, false) => {
                HostData::Float(words(raw).map(|word| half_to_float(u16::from_le_bytes(word))).collect())
            }
            (INT64, true) => HostData::Int(self.int64_data.clone()),
            (INT64, false) => HostData::Int(words(raw).map(i64::from_le_bytes).collect()),
            (INT32 | BOOL, true) => HostData::Int(self.int32_data.iter().map(narrow).collect()),
            (INT32, false) => HostData::Int(words(raw).map(|word| i64::from(i32::from_le_bytes(word))).collect()),
            (BOOL, false) => HostData::Int(raw.iter().map(|byte| i64::from(*byte)).collect()),
            (other, _) => {
                return Err(format!("the constant `{}` has the element type {other}", self.name));
            }
        };
        let elements = elements(&shape).ok_or_else(|| format!("the constant `{}` is too large", self.name))?;
        let found = match &data {
            HostData::Float(data) => data.len(),
            HostData::Int(data) => data.len(),
        };
        if found != elements {
            return Err(format!("the constant `{}` holds {found} elements, its shape asks for {elements}", self.name));
        }
        Ok(HostTensor { shape, data })
    }
}

fn words<const N: usize>(raw: &[u8]) -> impl Iterator<Item = [u8; N]> + '_ {
    raw.as_chunks::<N>().0.iter().copied()
}

/// IEEE half precision, exactly.
fn half_to_float(bits: u16) -> f32 {
    let sign = if bits & 0x8000 == 0 { 1.0 } else { -1.0 };
    let fraction = f32::from(bits & 0x3ff);
    match (bits >> 10) & 0x1f {
        0 => sign * fraction * 2f32.powi(-24),
        0x1f if fraction == 0.0 => sign * f32::INFINITY,
        0x1f => f32::NAN,
        exponent => sign * (1.0 + fraction / 1024.0) * 2f32.powi(i32::from(exponent) - 15),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves() {
        for (bits, expected) in [
            (0x0000, 0.0),
            (0x3c00, 1.0),
            (0xc000, -2.0),
            (0x3555, 0.333_251_95),
            (0x0001, 5.960_464_5e-8),
            (0x7c00, f32::INFINITY),
        ] {
            assert_eq!(half_to_float(bits), expected, "{bits:#x}");
        }
        assert!(half_to_float(0x7e00).is_nan());
    }
}
