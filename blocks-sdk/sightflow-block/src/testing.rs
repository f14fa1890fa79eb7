//! Running a block natively, exactly as the host runs it: the configuration is made canonical, checked against the
//! block's own schema and filled with defaults, inputs and outputs travel as JSON, images as handles.

use serde_json::{Map, Value};
use sightflow_types::Problem;
pub use sightflow_types::manifest::{EXAMPLE_COLOR, EXAMPLE_SIZE};

use crate::block::find;
use crate::{BlockError, CheckContext, Entry, Example, Image, Manifest, PixelFormat, Rect, bytes, image};

pub mod canonical;

/// Says what is answered to the requests of blocks on this thread; until then they are refused.
#[cfg(feature = "http")]
pub fn answer_http(
    answers: impl FnMut(crate::http::Request) -> Result<crate::http::Response, crate::http::HttpError> + 'static,
) {
    crate::host::answer(Box::new(answers));
}

/// One call of a block, being put together.
#[derive(Debug)]
pub struct Call<'p> {
    package: &'p [Entry],
    block: &'p str,
    config: Value,
    inputs: Map<String, Value>,
    images: Vec<Image>,
    buffers: Vec<Vec<u8>>,
}

/// What a block answered.
#[derive(Debug)]
pub struct Answer {
    /// The outputs by port. An image is `{"$image": n}`; see [`Answer::image`].
    pub outputs: Map<String, Value>,
    images: Vec<Image>,
    buffers: Vec<Vec<u8>>,
}

impl<'p> Call<'p> {
    /// A call without inputs and with an empty configuration.
    pub fn new(package: &'p [Entry], block: &'p str) -> Self {
        Self {
            package,
            block,
            config: Value::Object(Map::new()),
            inputs: Map::new(),
            images: Vec::new(),
            buffers: Vec::new(),
        }
    }

    /// The configuration as a user writes it.
    #[must_use]
    pub fn config(mut self, config: Value) -> Self {
        self.config = config;
        self
    }

    /// A JSON value for an input port.
    #[must_use]
    pub fn input(mut self, port: &str, value: Value) -> Self {
        self.inputs.insert(port.to_owned(), value);
        self
    }

    /// An image for an input port.
    #[must_use]
    pub fn image(mut self, port: &str, image: &Image) -> Self {
        let value = self.add(image);
        self.input(port, value)
    }

    /// Images for an input port.
    #[must_use]
    pub fn images(mut self, port: &str, images: &[Image]) -> Self {
        let list = images.iter().map(|image| self.add(image)).collect();
        self.input(port, Value::Array(list))
    }

    /// Bytes for an input port.
    #[must_use]
    pub fn bytes(mut self, port: &str, bytes: &[u8]) -> Self {
        self.buffers.push(bytes.to_vec());
        let value = serde_json::json!({ sightflow_types::BYTES_KEY: self.buffers.len() - 1 });
        self.input(port, value)
    }

    fn add(&mut self, image: &Image) -> Value {
        self.images.push(image.clone());
        serde_json::json!({ sightflow_types::IMAGE_KEY: self.images.len() - 1 })
    }

    /// Makes the call.
    ///
    /// # Errors
    /// That of the block, or bad configuration from the block's schema.
    pub fn run(self) -> Result<Answer, BlockError> {
        let entry = find(self.package, self.block)?;
        let config = canonical::canonical(&(entry.manifest)().config, &self.config).map_err(|problems| {
            let messages: Vec<_> = problems.iter().map(|p| format!("{}: {}", p.pointer, p.message)).collect();
            BlockError::bad_config("schema", messages.join("; "))
        })?;
        image::begin_call(self.images.iter().map(|image| image.host().clone()));
        bytes::begin_call(self.buffers);
        let document = (entry.run)(&Value::Object(config).to_string(), &Value::Object(self.inputs).to_string())?;
        let (images, buffers) = (image::end_call(), bytes::end_call());
        match serde_json::from_str(&document) {
            Ok(Value::Object(outputs)) => Ok(Answer { outputs, images, buffers }),
            _ => Err(BlockError::failed(format!("the result is no JSON object: {document}"))),
        }
    }
}

/// What prevents a save of a workflow with this node: problems of the block's schema and of its own check, all at once.
pub fn check(package: &[Entry], block: &str, config: &Value, wired: &[&str]) -> Vec<Problem> {
    let entry = match find(package, block) {
        Ok(entry) => entry,
        Err(error) => return vec![Problem::new("E-BLOCK-UNKNOWN", "", error.to_string())],
    };
    let context = CheckContext { wired: wired.iter().map(ToString::to_string).collect(), dynamic: Vec::new() };
    match canonical::judged(&(entry.manifest)().config, config) {
        Ok((config, mut problems)) => {
            problems.extend((entry.check)(&context, &config));
            problems
        }
        Err(problems) => problems,
    }
}

/// Runs every example of every block and compares the outputs that it names.
///
/// # Panics
/// If a block gives another answer than its example, or declares no example.
pub fn run_examples(package: &[Entry]) {
    run_examples_except(package, &[]);
}

/// As [`run_examples`]; the blocks named in `without` need no example.
///
/// # Panics
/// As [`run_examples`], and if a block of `without` has an example or is not there.
#[expect(clippy::panic, reason = "a test assertion")]
pub fn run_examples_except(package: &[Entry], without: &[&str]) {
    for name in without {
        assert!(package.iter().any(|entry| entry.name == *name), "there is no block `{name}`");
    }
    for entry in package {
        let manifest = (entry.manifest)();
        let examples = &manifest.examples;
        if without.contains(&entry.name) {
            assert!(examples.is_empty(), "`{}` has examples: take it off the list of blocks without", entry.name);
            continue;
        }
        assert!(!examples.is_empty(), "`{}` declares no examples", entry.name);
        for (index, example) in examples.iter().enumerate() {
            let answer = example_call(package, &manifest, example).run();
            let answer = answer.unwrap_or_else(|error| panic!("{}, example {index}: {error}", entry.name));
            assert!(!example.outputs.is_empty(), "{}, example {index} names no output", entry.name);
            for (port, expected) in &example.outputs {
                assert_eq!(answer.outputs.get(port), Some(expected), "{}, example {index}, `{port}`", entry.name);
            }
        }
    }
}

fn example_call<'p>(package: &'p [Entry], manifest: &'p Manifest, example: &Example) -> Call<'p> {
    let call = Call::new(package, &manifest.name).config(Value::Object(example.config.clone()));
    let call = Call { inputs: example.inputs.clone(), ..call };
    let picture = Image::from_fn(EXAMPLE_SIZE, |_, _| EXAMPLE_COLOR);
    manifest.pictured(example).fold(call, |call, port| call.image(port, &picture))
}

impl Answer {
    /// The value of an output port; null if the port was left out.
    pub fn value(&self, port: &str) -> &Value {
        self.outputs.get(port).unwrap_or(&Value::Null)
    }

    /// The image at an output port.
    pub fn image(&self, port: &str) -> Option<&Image> {
        self.image_of(self.value(port))
    }

    /// The images of a list at an output port.
    pub fn images(&self, port: &str) -> Vec<&Image> {
        let list = self.value(port).as_array();
        list.into_iter().flatten().filter_map(|value| self.image_of(value)).collect()
    }

    /// The image that `{"$image": n}` stands for.
    pub fn image_of(&self, value: &Value) -> Option<&Image> {
        let slot = value.get(sightflow_types::IMAGE_KEY)?.as_u64()?;
        self.images.get(usize::try_from(slot).ok()?)
    }

    /// The bytes at an output port.
    pub fn bytes(&self, port: &str) -> Option<&[u8]> {
        let index = self.value(port).get(sightflow_types::BYTES_KEY)?.as_u64()?;
        self.buffers.get(usize::try_from(index).ok()?).map(Vec::as_slice)
    }

    /// The place of an output image among the call's images: below the number of input images it is one of those.
    pub fn image_slot(&self, port: &str) -> Option<u64> {
        self.value(port).get(sightflow_types::IMAGE_KEY)?.as_u64()
    }
}

/// Images for tests.
impl Image {
    /// An RGB image whose pixels a function gives by column and row.
    ///
    /// # Panics
    /// If the size is not one that an image may have.
    #[expect(clippy::expect_used, reason = "for tests")]
    pub fn from_fn((width, height): (u32, u32), pixel: impl Fn(u32, u32) -> [u8; 3]) -> Self {
        let pixels: Vec<u8> =
            (0..height).flat_map(|y| (0..width).map(move |x| (x, y))).flat_map(|(x, y)| pixel(x, y)).collect();
        Self::from_pixels((width, height), PixelFormat::Rgb8, &pixels).expect("a size that an image may have")
    }

    /// The colour at a column and row.
    ///
    /// # Panics
    /// If there is no such pixel.
    #[expect(clippy::expect_used, reason = "for tests")]
    pub fn rgb(&self, x: u32, y: u32) -> [u8; 3] {
        let bytes = self.read(Rect { x, y, width: 1, height: 1 }, PixelFormat::Rgb8).expect("a pixel of the image");
        [bytes[0], bytes[1], bytes[2]]
    }
}
