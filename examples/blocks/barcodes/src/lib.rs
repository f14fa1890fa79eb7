//! The package `acme/barcodes`: reads barcodes and QR codes.

use rxing::helpers::detect_multiple_in_luma_with_hints;
use rxing::{BarcodeFormat, DecodeHints, Exceptions, RXingResult};
use sightflow_block::{
    BlockError, Choice, Config, Image, Inputs, Map, Outputs, PixelFormat, Rect, Value, block, export_package, json,
};

/// Where to look.
#[derive(Inputs)]
pub struct ReadInputs {
    /// An image with codes in it.
    image: Image,
}

/// What to look for.
#[derive(Config)]
pub struct ReadConfig {
    /// Only codes of these formats; none: all.
    #[config(default = Vec::new())]
    formats: Vec<Format>,
    /// Look longer: for codes that are turned, blurred or far away.
    #[config(default = true)]
    try_harder: bool,
}

/// A format.
#[derive(Choice, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// QR Code.
    Qr,
    /// Data Matrix.
    DataMatrix,
    /// Aztec Code.
    Aztec,
    /// PDF417.
    Pdf417,
    /// EAN-13, which ISBNs are written in, too.
    Ean13,
    /// EAN-8.
    Ean8,
    /// UPC-A.
    UpcA,
    /// UPC-E.
    UpcE,
    /// Code 128.
    Code128,
    /// Code 39.
    Code39,
    /// Interleaved 2 of 5.
    Itf,
}

/// What was read.
#[derive(Outputs)]
pub struct ReadOutputs {
    /// Each code with its `format`, `text` and `bbox`.
    #[port(kind = "detections")]
    codes: Vec<Value>,
    /// The text of the first code; null if there is none.
    text: Option<String>,
}

/// Reads barcodes and QR codes.
#[block(category = "transform")]
pub fn read_codes(inputs: &ReadInputs, config: &ReadConfig) -> Result<ReadOutputs, BlockError> {
    let (width, height) = inputs.image.size();
    let luma = inputs.image.read(Rect { x: 0, y: 0, width, height }, PixelFormat::Gray8)?;
    let mut hints = DecodeHints { TryHarder: Some(config.try_harder), ..DecodeHints::default() };
    if !config.formats.is_empty() {
        hints.PossibleFormats = Some(config.formats.iter().map(|format| format.of_library()).collect());
    }
    let found = match detect_multiple_in_luma_with_hints(luma, width, height, &mut hints) {
        Ok(found) => found,
        Err(Exceptions::NotFoundException(_)) => Vec::new(),
        Err(error) => return Err(BlockError::failed(error.to_string())),
    };
    let codes: Vec<Value> = found.iter().map(|code| described(code, (width, height))).collect();
    let text = found.first().map(|code| code.getText().to_owned());
    Ok(ReadOutputs { codes, text })
}

impl Format {
    fn of_library(self) -> BarcodeFormat {
        match self {
            Self::Qr => BarcodeFormat::QR_CODE,
            Self::DataMatrix => BarcodeFormat::DATA_MATRIX,
            Self::Aztec => BarcodeFormat::AZTEC,
            Self::Pdf417 => BarcodeFormat::PDF_417,
            Self::Ean13 => BarcodeFormat::EAN_13,
            Self::Ean8 => BarcodeFormat::EAN_8,
            Self::UpcA => BarcodeFormat::UPC_A,
            Self::UpcE => BarcodeFormat::UPC_E,
            Self::Code128 => BarcodeFormat::CODE_128,
            Self::Code39 => BarcodeFormat::CODE_39,
            Self::Itf => BarcodeFormat::ITF,
        }
    }
}

/// A code as a detection, so that what draws and filters detections takes it. Its box spans the points that the reader found:
/// of a QR code the middles of its marks, of a barcode the ends of one line through it.
fn described(code: &RXingResult, (width, height): (u32, u32)) -> Value {
    let format = code.getBarcodeFormat().to_string();
    let mut detection = Map::new();
    detection.insert("class_name".to_owned(), json!(format));
    detection.insert("confidence".to_owned(), json!(1.0));
    detection.insert("format".to_owned(), json!(format));
    detection.insert("text".to_owned(), json!(code.getText()));
    let points = code.getPoints();
    let span = |of: &dyn Fn(usize) -> f32, size: u32| {
        let (low, high) = (0..points.len()).map(of).fold((f32::MAX, f32::MIN), |(low, high), at| (low.min(at), high.max(at)));
        [low, high].map(|at| f64::from(at.clamp(0.0, size as f32)) / f64::from(size))
    };
    if !points.is_empty() {
        let ([x1, x2], [y1, y2]) = (span(&|at| points[at].x, width), span(&|at| points[at].y, height));
        detection.insert("bbox".to_owned(), json!({"x1": x1, "y1": y1, "x2": x2, "y2": y2}));
    }
    Value::Object(detection)
}

export_package!("acme/barcodes"; read_codes);

#[cfg(test)]
mod tests {
    use rxing::{BarcodeFormat, MultiFormatWriter, Writer};
    use sightflow_block::{Image, Value, json, testing};

    use super::PACKAGE;

    /// A picture of a code on white ground.
    fn picture(text: &str, format: BarcodeFormat) -> Image {
        let code = MultiFormatWriter.encode(text, &format, 200, 120).expect("a code");
        let dark = |x: u32, y: u32| x < code.width() && y < code.height() && code.get(x, y);
        Image::from_fn((300, 220), |x, y| {
            let black = x >= 40 && y >= 40 && dark(x - 40, y - 40);
            [if black { 0 } else { 255 }; 3]
        })
    }

    fn read(image: &Image, config: Value) -> Value {
        let answer = testing::Call::new(PACKAGE, "read_codes").image("image", image).config(config).run().unwrap();
        Value::Object(answer.outputs)
    }

    #[test]
    fn codes_of_many_kinds_are_read() {
        for (text, format, name) in [
            ("https://example.com/räder?q=1", BarcodeFormat::QR_CODE, "qrcode"),
            ("4006381333931", BarcodeFormat::EAN_13, "ean 13"),
            ("PALLET-00042", BarcodeFormat::CODE_128, "code 128"),
            ("data matrix", BarcodeFormat::DATA_MATRIX, "datamatrix"),
        ] {
            let answer = read(&picture(text, format), json!({}));
            assert_eq!(answer["text"], text, "{answer}");
            assert_eq!(answer["codes"][0]["format"], name, "{answer}");
            let bbox = &answer["codes"][0]["bbox"];
            assert!(bbox["x1"].as_f64() < bbox["x2"].as_f64() && bbox["x2"].as_f64() <= Some(1.0), "{answer}");
        }
    }

    #[test]
    fn what_is_not_wanted_or_not_there_is_not_found() {
        let code = picture("4006381333931", BarcodeFormat::EAN_13);
        assert_eq!(read(&code, json!({"formats": ["qr"]})), json!({"codes": [], "text": null}));
        assert_eq!(read(&code, json!({"formats": ["qr", "ean13"]}))["text"], "4006381333931");
        let empty = Image::from_fn((64, 64), |_, _| [120, 120, 120]);
        assert_eq!(read(&empty, json!({})), json!({"codes": [], "text": null}));
    }
}
