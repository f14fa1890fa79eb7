//! Files that people give as a model and that are something else: named for what they are.

use crate::ModelError;

/// How far into a file to look.
const HEAD: usize = 4096;

/// # Errors
/// [`ModelError::NotOnnx`] if the bytes are a known kind of file that is no ONNX model. No ONNX model is refused.
pub(crate) fn check(bytes: &[u8]) -> Result<(), ModelError> {
    match recognise(bytes) {
        None => Ok(()),
        Some((what, advice)) => Err(ModelError::NotOnnx { what: what.to_owned(), advice: advice.to_owned() }),
    }
}

fn recognise(bytes: &[u8]) -> Option<(&'static str, &'static str)> {
    const EXPORT: &str = "export it with torch.onnx.export(model, example, \"model.onnx\", dynamo=True, \
                          external_data=False) and give that file";
    const UNPACK: &str = "unpack it and give the .onnx file inside";
    let head = &bytes[..bytes.len().min(HEAD)];
    let contains = |text: &[u8]| head.windows(text.len()).any(|window| window == text);
    let text = head.trim_ascii_start();
    let starts_with_any = |starts: &[&[u8]]| {
        starts.iter().any(|start| text.get(..start.len()).is_some_and(|found| found.eq_ignore_ascii_case(start)))
    };
    // No protobuf message of ONNX starts with any of these bytes.
    Some(match head {
        [] => ("an empty file", "the download or copy did not finish; fetch it again"),
        [0x1f, 0x8b, ..] => ("a gzip archive", UNPACK),
        [b'B', b'Z', b'h', ..] | [0xfd, b'7', b'z', b'X', b'Z', ..] => ("a compressed archive", UNPACK),
        [b'P', b'K', 3, 4, ..] if contains(b"data.pkl") || contains(b"constants.pkl") => {
            ("a PyTorch file (.pt, .pth)", EXPORT)
        }
        [b'P', b'K', 3 | 5, 4 | 6, ..] => ("a zip archive", UNPACK),
        [0x80, 2..=5, ..] => ("a Python pickle, probably an old PyTorch checkpoint", EXPORT),
        [0x89, b'H', b'D', b'F', ..] => ("an HDF5 file, probably a Keras model", "convert it with tf2onnx"),
        [_, _, _, _, b'T', b'F', b'L', b'3', ..] => ("a TensorFlow Lite model", "convert it with tf2onnx"),
        [0x93, b'N', b'U', b'M', b'P', b'Y', ..] => ("a NumPy array", "give the model, not its weights"),
        [b'G', b'G', b'U', b'F', ..] => ("a GGUF model", "give an ONNX export of it"),
        [0x89, b'P', b'N', b'G', ..] | [0xff, 0xd8, 0xff, ..] => ("a picture", "give the .onnx file"),
        _ if text.starts_with(b"version https://git-lfs") => {
            ("a Git LFS pointer, which stands for the file", "run `git lfs pull` where it comes from")
        }
        _ if starts_with_any(&[b"<!doctype html", b"<html"]) => (
            "a web page (HTML)",
            "download the file itself (its raw or `resolve` address), not the page that shows it; it may need a login",
        ),
        _ if text.starts_with(b"<?xml") => ("an XML file, perhaps an OpenVINO model", "give the .onnx file"),
        _ if is_safetensors(bytes) => {
            ("a safetensors file: weights without a graph", "export the model that they belong to as ONNX")
        }
        _ if text.starts_with(b"{") => ("a JSON file", "give the .onnx file"),
        _ => return None,
    })
}

/// The length of a JSON header, then the header.
fn is_safetensors(bytes: &[u8]) -> bool {
    let Some((length, rest)) = bytes.split_first_chunk::<8>() else {
        return false;
    };
    let length = u64::from_le_bytes(*length);
    rest.starts_with(b"{\"") && (2..=100 << 20).contains(&length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_files_are_named() {
        let mut safetensors = 60_u64.to_le_bytes().to_vec();
        safetensors.extend(br#"{"weight":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#);
        let lfs = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 15172108\n";
        for (bytes, expected) in [
            (&b""[..], "an empty file"),
            (lfs, "a Git LFS pointer"),
            (b"\n <!DOCTYPE html><html>", "a web page"),
            (b"<HTML><body>404", "a web page"),
            (b"PK\x03\x04..archive/data.pkl", "a PyTorch file"),
            (b"PK\x03\x04..model.onnx", "a zip archive"),
            (b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.", "a Python pickle"),
            (b"\x1f\x8b\x08\0", "a gzip archive"),
            (&safetensors, "a safetensors file"),
            (b"\x1c\0\0\0TFL3", "a TensorFlow Lite model"),
            (b"{\"models\": []}", "a JSON file"),
            (b"\x89PNG\r\n", "a picture"),
        ] {
            let Err(ModelError::NotOnnx { what, advice }) = check(bytes) else { panic!("{expected} is taken") };
            assert!(what.starts_with(expected) && !advice.is_empty(), "{what}: {advice}");
        }
        // The first bytes of real exports: `ir_version`, then the producer or the graph.
        for bytes in [&b"\x08\x07\x12\x07pytorch\x1a"[..], b"\x08\x0a:\xd4\x03\n{", b"\x08\x08\x12\0"] {
            assert_eq!(check(bytes), Ok(()));
        }
    }
}
