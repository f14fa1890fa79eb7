//! `GET /blobs/{digest}/thumbnail`.

use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use serde::Deserialize;
use sightflow_images::{Area, EncodeFormat, Fit, Image, ImageError, Work};
use sightflow_types::{Digest, ImageRef};
use utoipa::{IntoParams, ToSchema};

use super::{IMMUTABLE, image_response};
use crate::caller::Caller;
use crate::decode::decode;
use crate::error::{ApiError, Code, ErrorBody};
use crate::extract::{Path, Query};
use crate::state::ApiState;
use crate::{etag, intake, schema};

const LARGEST: u32 = 1024;

#[derive(Debug, Clone, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct ThumbnailQuery {
    /// Columns of the frame, 1..1024; default 256.
    #[param(minimum = 1, maximum = 1024)]
    width: Option<u32>,
    /// Rows of the frame, 1..1024; default 256.
    #[param(minimum = 1, maximum = 1024)]
    height: Option<u32>,
    /// `contain` (default): all of the image inside the frame; `cover`: the frame is filled.
    #[param(inline)]
    fit: Option<FitMode>,
    /// Default `webp`.
    #[param(inline)]
    format: Option<Format>,
    /// Part of the upright image in pixels: `x,y,width,height`.
    #[param(value_type = Option<schema::Crop>)]
    crop: Option<String>,
}

/// How the image meets the frame.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum FitMode {
    Contain,
    Cover,
}

/// Encoding of the answer.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum Format {
    Webp,
    Jpeg,
    Png,
}

impl Format {
    const fn encoding(self) -> EncodeFormat {
        match self {
            Self::Webp => EncodeFormat::Webp,
            Self::Jpeg => EncodeFormat::Jpeg { quality: 80 },
            Self::Png => EncodeFormat::Png,
        }
    }
}

/// A query with its ranges checked.
struct Wanted {
    width: u32,
    height: u32,
    fit: Fit,
    encoding: EncodeFormat,
    crop: Option<Area>,
}

impl Wanted {
    fn read(query: &ThumbnailQuery) -> Result<Self, ApiError> {
        let side = |name: &str, value: Option<u32>| {
            let value = value.unwrap_or(256);
            if (1..=LARGEST).contains(&value) {
                Ok(value)
            } else {
                Err(ApiError::field(format!("?{name}"), format!("`{name}` is {value}; it must be 1 to {LARGEST}")))
            }
        };
        Ok(Self {
            width: side("width", query.width)?,
            height: side("height", query.height)?,
            fit: match query.fit {
                None | Some(FitMode::Contain) => Fit::Contain,
                Some(FitMode::Cover) => Fit::Cover,
            },
            encoding: query.format.unwrap_or(Format::Webp).encoding(),
            crop: query.crop.as_deref().map(area).transpose()?,
        })
    }

    fn make(&self, work: &Work, bytes: Bytes, reference: &ImageRef) -> Result<Bytes, ImageError> {
        let image = Image::from_reference(bytes, reference)?;
        let image = match self.crop {
            Some(area) => image.crop(area)?,
            None => image,
        };
        let small = sightflow_images::thumbnail_in(work, &image, self.width, self.height, self.fit)?;
        sightflow_images::encode_in(work, &small, self.encoding)
    }
}

fn area(text: &str) -> Result<Area, ApiError> {
    let numbers: Vec<u32> = text.split(',').filter_map(|part| part.trim().parse().ok()).collect();
    let area = match numbers.as_slice() {
        [x, y, width, height] if text.split(',').count() == 4 && *width > 0 && *height > 0 => i32::try_from(*x)
            .ok()
            .zip(i32::try_from(*y).ok())
            .map(|(x, y)| Area { x, y, width: *width, height: *height }),
        _ => None,
    };
    area.ok_or_else(|| ApiError::field("?crop", format!("`crop` is `{text}`; it must be `x,y,width,height` in pixels")))
}

/// A small picture of an image blob.
#[utoipa::path(get, path = "/blobs/{digest}/thumbnail", tag = "blobs", params(("digest" = schema::Digest, Path), ThumbnailQuery),
    responses((status = 200, description = "The picture", content((Vec<u8> = "image/webp"), (Vec<u8> = "image/jpeg"), (Vec<u8> = "image/png"))), (status = 304), (status = 400, body = ErrorBody), (status = 404, body = ErrorBody), (status = 409, description = "The stored bytes are damaged", body = ErrorBody), (status = 422, body = ErrorBody)))]
pub(crate) async fn thumbnail(
    State(state): State<ApiState>,
    caller: Caller,
    Path(digest): Path<Digest>,
    Query(query): Query<ThumbnailQuery>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let wanted = Wanted::read(&query)?;
    let blob =
        intake::find(&state, caller.tenant, &digest).await?.ok_or_else(|| ApiError::not_found("blob", digest))?;
    // The same words give the same picture for ever.
    let tag = format!("\"{}\"", sightflow_blobs::digest_of(format!("{digest} {query:?}").as_bytes()).hex());
    let mut response = if etag::none_match(&headers, &tag) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        let bytes = intake::load(&state, &digest, blob.size).await?;
        let reference = intake::reference(&blob);
        let media_type = wanted.encoding.source_format().media_type();
        let invalid = |error| ApiError::new(Code::ImageInvalid, format!("the blob {digest}: {error}"));
        let make = move |work: &Work, bytes| wanted.make(work, bytes, &reference);
        image_response(media_type, decode(&state, bytes, make, invalid).await?)?
    };
    response.headers_mut().insert(header::ETAG, HeaderValue::from_str(&tag).map_err(ApiError::internal)?);
    response.headers_mut().insert(header::CACHE_CONTROL, IMMUTABLE);
    Ok(response)
}
