//! The package `acme/vision-language`: asks a vision-language model about an image.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use sightflow_block::http::{Request, secret};
use sightflow_block::image_ops::FileFormat;
use sightflow_block::{BlockError, Config, Image, Inputs, Outputs, ResizeFilter, block, export_package, json};

/// What it is asked about.
#[derive(Inputs)]
pub struct AskInputs {
    /// The image.
    image: Image,
    /// A question in place of the configured one.
    question: Option<String>,
}

/// Whom to ask, and what.
#[derive(Config)]
pub struct AskConfig {
    /// Where the API lies: everything before `/chat/completions`.
    #[config(default = "https://api.openai.com/v1")]
    base_url: String,
    /// The model's name there.
    #[config(default = "gpt-4o-mini")]
    model: String,
    /// The question.
    #[config(default = "What is in this image? Answer in one sentence.")]
    question: String,
    /// Most tokens of the answer.
    #[config(default = 200, min = 1, max = 4096)]
    max_tokens: u32,
    /// The longer side of the image that is sent, in pixels; a larger image is made smaller.
    #[config(default = 768, min = 32, max = 4096)]
    max_side: u32,
}

/// What the model says.
#[derive(Outputs)]
pub struct AskOutputs {
    /// Its answer.
    answer: String,
    /// How many tokens question and answer cost; null if the API does not say.
    tokens: Option<u64>,
}

/// What the API answers, as far as it is needed.
#[derive(Deserialize)]
struct Completion {
    choices: Vec<Choice>,
    usage: Option<Usage>,
}

#[derive(Deserialize)]
struct Choice {
    message: Message,
}

#[derive(Deserialize)]
struct Message {
    content: Option<String>,
}

#[derive(Deserialize)]
struct Usage {
    total_tokens: u64,
}

/// Asks a vision-language model about an image, over an API that is compatible with OpenAI's. Grant the package the API's host
/// and a secret `API_KEY`.
#[block(category = "transform", capabilities("http:*", "secret:API_KEY"))]
pub fn ask_image(inputs: &AskInputs, config: &AskConfig) -> Result<AskOutputs, BlockError> {
    let jpeg = smaller(&inputs.image, config.max_side)?.encode(FileFormat::Jpeg { quality: 85 })?;
    let picture = format!("data:image/jpeg;base64,{}", STANDARD.encode(jpeg));
    let question = inputs.question.as_deref().unwrap_or(&config.question);
    let content = json!([{"type": "text", "text": question}, {"type": "image_url", "image_url": {"url": picture}}]);
    let body = json!({
        "model": config.model,
        "max_tokens": config.max_tokens,
        "messages": [{"role": "user", "content": content}],
    });
    let url = format!("{}/chat/completions", config.base_url.trim_end_matches('/'));
    let request = Request::post_json(url, &body)?
        .header("authorization", format!("Bearer {}", secret("API_KEY")))
        .timeout(Duration::from_secs(60));
    let completion: Completion = request.send()?.json()?;
    let answer = completion.choices.into_iter().next().and_then(|choice| choice.message.content);
    let answer = answer.ok_or_else(|| BlockError::failed("the model answered nothing"))?;
    Ok(AskOutputs { answer, tokens: completion.usage.map(|usage| usage.total_tokens) })
}

/// The image, no side longer than `most`.
fn smaller(image: &Image, most: u32) -> Result<Image, BlockError> {
    let (width, height) = image.size();
    let longer = width.max(height);
    if longer <= most {
        return Ok(image.clone());
    }
    let scaled = |side: u32| (u64::from(side) * u64::from(most) / u64::from(longer)).max(1) as u32;
    Ok(image.resize((scaled(width), scaled(height)), ResizeFilter::Area)?)
}

export_package!("acme/vision-language"; ask_image);

#[cfg(test)]
mod tests {
    use sightflow_block::http::Response;
    use sightflow_block::{BlockError, Image, Value, json, testing};

    use super::PACKAGE;

    fn ask(status: u16, answer: &Value) -> Result<testing::Answer, BlockError> {
        let body = answer.to_string().into_bytes();
        testing::answer_http(move |request| {
            assert_eq!(request.url, "http://localhost:8000/v1/chat/completions");
            assert!(request.headers.contains(&("authorization".into(), "Bearer {secret:API_KEY}".into())));
            let asked: Value = serde_json_of(&request.body);
            assert_eq!(asked["messages"][0]["content"][0]["text"], "How many?");
            Ok(Response { status, headers: Vec::new(), body: body.clone() })
        });
        let image = Image::from_fn((1000, 500), |x, _| [x as u8, 0, 0]);
        testing::Call::new(PACKAGE, "ask_image")
            .image("image", &image)
            .input("question", json!("How many?"))
            .config(json!({"base_url": "http://localhost:8000/v1/"}))
            .run()
    }

    fn serde_json_of(bytes: &[u8]) -> Value {
        std::str::from_utf8(bytes).unwrap().parse().unwrap()
    }

    #[test]
    fn the_answer_is_the_model_s() {
        let answer = ask(200, &json!({"choices": [{"message": {"content": "Three."}}], "usage": {"total_tokens": 9}}));
        assert_eq!(Value::Object(answer.unwrap().outputs), json!({"answer": "Three.", "tokens": 9}));
    }

    #[test]
    fn a_busy_server_is_asked_again_and_others_are_not() {
        assert!(matches!(ask(503, &json!({})), Err(BlockError::Retry(_))));
        assert!(matches!(ask(401, &json!({})), Err(BlockError::Failed(_))));
        assert!(matches!(ask(200, &json!({"choices": []})), Err(BlockError::Failed(_))));
    }
}
