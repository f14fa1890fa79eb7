//! Values across the boundary to components.

use std::fmt::Write;
use std::sync::Arc;

use serde_json::Value;
use sightflow_images::Image;
use sightflow_types::document::Document;
use sightflow_types::error::{RunError, code};

use super::frame::Outputs;
use crate::cell::Cell;
use crate::host::{BlockRef, Payload};
use crate::images::{Access, ImageTable, Picture, Recipe, for_each_image, handle, handle_value};

/// The payload of a component call, and its images: the run's numbers become indexes into these.
pub(super) async fn payload(
    inputs: &[(Arc<str>, Cell)],
    access: Access<'_>,
) -> Result<(Payload, Vec<Arc<Picture>>), RunError> {
    let mut pictures = Vec::new();
    let document = document(inputs, &mut pictures)?;
    let mut images = Vec::with_capacity(pictures.len());
    for picture in &pictures {
        images.push(picture.open(access).await?);
    }
    Ok((Payload { document, images }, pictures))
}

/// The inputs as one JSON document. Images are indexes into `pictures`, in the order of their first mention.
fn document(inputs: &[(Arc<str>, Cell)], pictures: &mut Vec<Arc<Picture>>) -> Result<String, RunError> {
    let length: usize = inputs.iter().map(|(port, cell)| port.len() + 4 + cell.text_length()).sum();
    let mut document = String::with_capacity(length + 2);
    for (at, (port, cell)) in inputs.iter().enumerate() {
        document.push(if at == 0 { '{' } else { ',' });
        // A port's name needs no escapes; where one does, JSON has them.
        let _ = write!(document, "{}:", Value::from(&**port));
        if cell.pictures().is_empty() {
            document.push_str(cell.text());
            continue;
        }
        let mut value = cell.value().clone();
        for_each_image(&mut value, &mut |place| {
            let picture = handle(place).and_then(|at| cell.pictures().iter().find(|picture| picture.handle() == at));
            let picture = picture.ok_or_else(|| {
                RunError::new(code::BAD_INPUT, format!("the input `{port}` names an image that does not exist"))
            })?;
            let index = pictures.iter().position(|known| known.handle() == picture.handle()).unwrap_or_else(|| {
                pictures.push(Arc::clone(picture));
                pictures.len() - 1
            });
            *place = handle_value(index);
            Ok::<(), RunError>(())
        })?;
        let _ = write!(document, "{value}");
    }
    document.push_str(if inputs.is_empty() { "{}" } else { "}" });
    Ok(document)
}

/// How a call's images can be made again.
pub(super) fn recipe(
    block: &BlockRef,
    config: &Arc<str>,
    inputs: &[(Arc<str>, Cell)],
    given: &[Arc<Picture>],
) -> Result<Recipe, RunError> {
    let document = document(inputs, &mut Vec::new())?;
    let images = given.iter().map(|picture| Arc::clone(picture.origin())).collect();
    Ok(Recipe::Call { block: block.clone(), config: Arc::clone(config), document, images })
}

/// The outputs in a component's answer: its images join the run's table, values stay text.
pub(super) fn outputs(
    answer: &Document,
    images: Vec<Image>,
    given: &[Arc<Picture>],
    table: &ImageTable,
    recipe: impl Fn() -> Result<Recipe, RunError>,
) -> Result<Outputs, RunError> {
    let mut made: Option<Arc<Recipe>> = None;
    let mut pictures = Vec::with_capacity(images.len());
    for (ordinal, image) in images.into_iter().enumerate() {
        // What a block only hands on stays the same image.
        if let Some(same) = given.iter().find(|picture| picture.is(&image)) {
            pictures.push(Arc::clone(same));
            continue;
        }
        if image.reference().is_some() {
            pictures.push(table.add(image));
            continue;
        }
        let recipe = match &made {
            Some(recipe) => Arc::clone(recipe),
            None => Arc::clone(made.insert(Arc::new(recipe()?))),
        };
        pictures.push(table.add_made(image, &recipe, ordinal));
    }
    let cells = answer.ports().map(|(port, text)| {
        let name: Arc<str> = Arc::from(port.port.as_str());
        if !port.survey.images {
            return Ok((name, Cell::written(text, port.survey)));
        }
        let broken = || RunError::new(code::BLOCK_FAILED, format!("the port `{}` is not readable", port.port));
        let mut value: Value = serde_json::from_str(text).map_err(|_| broken())?;
        let mut named: Vec<Arc<Picture>> = Vec::new();
        for_each_image(&mut value, &mut |place| {
            let picture = handle(place).and_then(|index| pictures.get(index)).ok_or_else(broken)?;
            if !named.iter().any(|known| known.handle() == picture.handle()) {
                named.push(Arc::clone(picture));
            }
            *place = handle_value(picture.handle());
            Ok::<(), RunError>(())
        })?;
        Ok((name, Cell::of(value, named)))
    });
    cells.collect()
}

/// The outputs in an answer whose images are stored.
pub(super) fn stored_outputs(answer: &Document, images: Vec<Image>, table: &ImageTable) -> Result<Outputs, RunError> {
    outputs(answer, images, &[], table, || Err(RunError::new(code::INTERNAL, "an image that should be stored is not")))
}

#[cfg(test)]
mod tests {
    use sightflow_images::{PixelFormat, Pixels};

    use super::*;

    #[test]
    fn an_answer_s_images_are_known_by_the_numbers_of_the_run() {
        let image = Image::from_pixels(Pixels::filled(1, 1, PixelFormat::Gray8, &[0]).unwrap());
        let block = BlockRef {
            package: "acme/test".to_owned(),
            version: semver::Version::new(1, 0, 0),
            name: "paint".to_owned(),
            digest: None,
            code: crate::host::Code::default(),
        };
        // The answer with one image, and the ports that hold it.
        for (document, expected) in [
            (r#"{"a":{"$image":0},"b":"sha256:00"}"#, vec!["a"]),
            (r#"{"a":{"\u0024image":0}}"#, vec!["a"]),
            (r#"{"a":[[{"$ima\u0067e":0}]],"c":1}"#, vec!["a"]),
            (r#"{"a":"$image"}"#, vec![]),
        ] {
            let table = ImageTable::default();
            // Numbers of the run differ from the answer's indexes.
            let _other = table.add(image.clone());
            let answer = Document::check(document.to_owned(), 1).expect(document);
            let recipe = || recipe(&block, &Arc::from("{}"), &[], &[]);
            let found = outputs(&answer, vec![image.clone()], &[], &table, recipe).expect(document);
            let with = |cell: &Cell| !cell.pictures().is_empty();
            let ports: Vec<&str> = found.iter().filter(|(_, cell)| with(cell)).map(|(port, _)| &**port).collect();
            assert_eq!(ports, expected, "{document}");
            let text = found[0].1.text();
            assert_eq!(text.contains(r#"{"$image":1}"#), !expected.is_empty(), "{document}: {text}");
        }
    }
}
