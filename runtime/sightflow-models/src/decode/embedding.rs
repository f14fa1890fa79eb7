//! Feature vectors.

use serde_json::{Value, json};
use sightflow_types::model::{ModelSpec, Pooling};

use super::{Seen, finite, flag, number, unreadable};
use crate::{RunFailure, RunFailureClass};

pub(super) fn decode(spec: &ModelSpec, params: &Value, seen: &[Seen<'_>]) -> Result<Value, RunFailure> {
    let (Some(embedding), Some(seen)) = (&spec.embedding, seen.first()) else {
        return Err(unreadable("the model declares no vector".to_owned()));
    };
    let (shape, data) = seen.outputs.of_image(&embedding.output, seen.index).map_err(unreadable)?;
    let data = finite(data)?;
    let asked = params.get("pooling").and_then(|name| serde_json::from_value(name.clone()).ok());
    let pooling: Option<Pooling> = embedding.pooling.map(|own| asked.unwrap_or(own));
    let vector: Vec<f64> = match pooling {
        None => data.iter().map(|value| f64::from(*value)).collect(),
        Some(pooling) => {
            let length = *shape.last().unwrap_or(&0);
            if shape.len() != 2 || length == 0 {
                return Err(unreadable(format!("tokens of shape {shape:?}")));
            }
            pool(data, length, pooling, number(params, "gem_p", 3.0)).map_err(unreadable)?
        }
    };
    if vector.len() != embedding.dim as usize {
        return Err(unreadable(format!("a vector of {} numbers instead of {}", vector.len(), embedding.dim)));
    }
    let normalize = flag(params, "normalize", true);
    let vector = if normalize { unit(&vector)? } else { vector };
    let mut result = json!({
        "embedding": vector.iter().map(|value| short(*value)).collect::<Vec<_>>(),
        "embedding_dim": vector.len(),
        "normalized": normalize,
    });
    if let Some(pooling) = pooling {
        result["pooling"] = pooling.as_str().into();
    }
    Ok(result)
}

/// One vector of tokens; the first token is the class token, the others are patches.
pub(super) fn pool(tokens: &[f32], length: usize, pooling: Pooling, power: f64) -> Result<Vec<f64>, String> {
    let mut tokens = tokens.chunks_exact(length);
    let class = tokens.next().ok_or("no tokens")?;
    if pooling == Pooling::Cls {
        return Ok(class.iter().map(|value| f64::from(*value)).collect());
    }
    if tokens.len() == 0 {
        return Err("no patch tokens".to_owned());
    }
    let count = tokens.len() as f64;
    let over = |of: &dyn Fn(f64, f64) -> f64, start: f64| -> Vec<f64> {
        let column = |at: usize| tokens.clone().map(|token| f64::from(token[at])).fold(start, of);
        (0..length).map(column).collect()
    };
    Ok(match pooling {
        Pooling::Max => over(&f64::max, f64::NEG_INFINITY),
        Pooling::Gem => {
            let sums = over(&|sum, value| sum + value.max(1e-6).powf(power), 0.0);
            sums.into_iter().map(|sum| (sum / count).powf(1.0 / power)).collect()
        }
        Pooling::Cls | Pooling::Mean => {
            over(&|sum, value| sum + value, 0.0).into_iter().map(|sum| sum / count).collect()
        }
    })
}

/// The vector at length 1.
pub(super) fn unit(vector: &[f64]) -> Result<Vec<f64>, RunFailure> {
    let length = vector.iter().map(|value| value * value).sum::<f64>().sqrt();
    if length == 0.0 {
        return Err(RunFailure::new(
            RunFailureClass::Poison,
            "zero_vector",
            "the vector is zero and has no direction to normalise",
        ));
    }
    Ok(vector.iter().map(|value| value / length).collect())
}

/// The number with no more digits than single precision needs.
fn short(value: f64) -> f64 {
    let single = value as f32;
    single.to_string().parse().unwrap_or_else(|_| f64::from(single))
}
