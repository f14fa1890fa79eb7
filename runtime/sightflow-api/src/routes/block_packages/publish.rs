//! `POST /block-packages`: a component is checked, stored and published.

use axum::Json;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use serde::Deserialize;
use sightflow_engine::packages::agree;
use sightflow_engine::signature::{PublicKey, Signature};
use sightflow_engine::{Catalog, Disagreement, ExampleOutcome, Identity, LoadFailure, Package, run_examples};
use sightflow_store::{
    Activation, NewBlob, NewBlockVersion, PackageQuota, PublishedVersion, Publisher, Quota, Quotas, StoreError,
};
use sightflow_types::Problem;
use utoipa::{IntoParams, ToSchema};

use crate::caller::{Allowed, Caller};
use crate::error::{ApiError, Code, ErrorBody};
use crate::extract::body::{self, COMPONENT_LIMIT, Charge};
use crate::extract::{Multipart, Query, media_type};
use crate::state::ApiState;
use crate::views::block_package::PackageView;
use crate::{idempotency, intake};

/// The header with a publisher's signature.
const SIGNATURE: &str = "sightflow-signature";

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct PublishQuery {
    /// Runs the examples of its blocks; one that answers something else refuses the component.
    #[serde(default)]
    #[param(value_type = Option<bool>)]
    verify: bool,
    /// `false` publishes the version without making it the active one.
    #[serde(default = "yes")]
    #[param(value_type = Option<bool>)]
    activate: bool,
    /// Only checks.
    #[serde(default)]
    #[param(value_type = Option<bool>)]
    dry_run: bool,
    /// `namespace/package`, for a component that does not say it itself.
    name: Option<String>,
    /// A semantic version, for a component that does not say it itself.
    version: Option<String>,
}

fn yes() -> bool {
    true
}

/// A component as a form.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "documents the body; the part is read as it comes")]
pub(crate) struct ComponentForm {
    /// The component; its part may have any name.
    #[schema(value_type = String, format = Binary, content_media_type = "application/wasm")]
    component: Vec<u8>,
}

/// Publishes a component: checked, stored, and active at once unless `activate=false`. Running executions go on with what they
/// began with.
///
/// It may be repeated without an `Idempotency-Key`: the same bytes under the same version are the same package.
#[utoipa::path(post, path = "/block-packages", tag = "block packages", params(PublishQuery, ("Sightflow-Signature" = Option<String>, Header, description = "A publisher's Ed25519 signature, as `sightflow block publish --sign` makes it: 128 hexadecimal digits")), request_body(content((Vec<u8> = "application/wasm"), (ComponentForm = "multipart/form-data"))),
    responses((status = 201, body = PackageView), (status = 200, description = "Known already, or only checked", body = PackageView), (status = 409, description = "The version exists with other bytes", body = ErrorBody), (status = 413, body = ErrorBody), (status = 415, body = ErrorBody), (status = 422, body = ErrorBody), (status = 429, description = "The tenant has as many packages as it may have", body = ErrorBody)))]
pub(crate) async fn publish(
    State(state): State<ApiState>,
    caller: Caller,
    Allowed(quotas): Allowed,
    Query(query): Query<PublishQuery>,
    request: Request,
) -> Result<Response, ApiError> {
    let headers = request.headers().clone();
    // A key has nothing to do here, but a malformed one is refused as everywhere.
    idempotency::given(&headers)?;
    let (component, _charge) = read(&state, request, &headers).await?;
    let identity = identity(&state, &query, &component)?;
    let signed_by = signed_by(&state, caller, &identity, &headers, &component).await?;
    let package = state.packages.check(caller.tenant, &identity, component.clone()).await.map_err(unloaded)?;
    if query.verify {
        verify(&state, caller, &package).await?;
    }
    if query.dry_run {
        return Ok(Json(PackageView::checked(&package)).into_response());
    }
    let activation = if query.activate { Activation::Activate } else { Activation::Keep };
    let published = store(&state, caller, &quotas, package, &component, (activation, signed_by)).await?;
    state.packages.refresh(caller.tenant).await?;
    let status = if published.known { StatusCode::OK } else { StatusCode::CREATED };
    let location = format!("/api/v1/block-packages/{}", published.package.id);
    let location = HeaderValue::from_str(&location).map_err(ApiError::internal)?;
    let view = PackageView::new(&state, published.package);
    Ok((status, [(header::LOCATION, location)], Json(view)).into_response())
}

fn unloaded(failure: LoadFailure) -> ApiError {
    match failure {
        LoadFailure::Refused(problems) => invalid(problems),
        LoadFailure::Busy => ApiError::new(Code::QueueFull, failure.to_string()),
        LoadFailure::Host(reason) => ApiError::internal(reason),
    }
}

/// The answer's body to a `dry_run` of this package.
pub fn checked_package(package: &Package) -> serde_json::Value {
    serde_json::json!(PackageView::checked(package))
}

/// The answer's body to a component with these findings, without the id that a request has.
pub fn refused_component(problems: Vec<Problem>) -> serde_json::Value {
    let mut body = serde_json::json!(invalid(problems).body("", ""));
    if let Some(error) = body["error"].as_object_mut() {
        error.retain(|key, _| !["request_id", "docs"].contains(&key.as_str()));
    }
    body
}

fn invalid(problems: Vec<Problem>) -> ApiError {
    ApiError::problems(Code::ComponentInvalid, "the component", problems)
}

/// The raw body, or the one file of a multipart body, and what it is charged.
async fn read(state: &ApiState, request: Request, headers: &HeaderMap) -> Result<(Bytes, Charge), ApiError> {
    let kind = media_type(headers).unwrap_or_default();
    if kind == "multipart/form-data" {
        let mut multipart = Multipart::open(&state.config.memory, request).await?;
        let mut file = None;
        while let Some(part) = multipart.next().await? {
            if part.name == "signature" {
                return Err(ApiError::field("/signature", "this server does not check signatures"));
            }
            if !part.is_file {
                return Err(part.no_file("a package is one file and nothing else"));
            }
            if part.bytes.len() > COMPONENT_LIMIT {
                return Err(body::too_large(COMPONENT_LIMIT));
            }
            if file.replace(part.bytes).is_some() {
                return Err(ApiError::new(Code::InvalidField, "send one component at a time"));
            }
        }
        let file = file.ok_or_else(|| ApiError::new(Code::InvalidField, "the multipart body has no file"))?;
        return Ok((file, multipart.finish()));
    }
    if !["application/wasm", "application/octet-stream"].contains(&kind.as_str()) {
        let message = format!(
            "`{kind}` is not taken here; send the component as application/wasm, or multipart/form-data with one file"
        );
        return Err(ApiError::new(Code::UnsupportedMediaType, message));
    }
    let held = body::read(&state.config.memory, request.into_body(), headers, COMPONENT_LIMIT).await?;
    Ok((held.bytes, held.charge))
}

/// What the component says of itself, or what the query says of it; both must agree.
fn identity(state: &ApiState, query: &PublishQuery, component: &[u8]) -> Result<Identity, ApiError> {
    let said = state.packages.identity(component).map_err(invalid)?;
    let version = query.version.as_deref().map(|text| {
        text.parse()
            .map_err(|error| ApiError::field("?version", format!("`{text}` is not a semantic version: {error}")))
    });
    let version = version.transpose()?;
    agree(said, query.name.as_deref(), version.as_ref()).map_err(|disagreement| match disagreement {
        Disagreement::Differs(problems) => invalid(problems),
        Disagreement::Missing(key) => {
            ApiError::field(format!("?{key}"), format!("the component does not say its {key}; give it as `?{key}=`"))
        }
    })
}

/// Whose signature the header holds, of those whom the tenant trusts. One that holds for nobody is refused, and so is none where
/// one is asked for.
async fn signed_by(
    state: &ApiState,
    caller: Caller,
    identity: &Identity,
    headers: &HeaderMap,
    component: &[u8],
) -> Result<Option<String>, ApiError> {
    let refused = |message: String| Err(invalid(vec![Problem::new("E-SIGNATURE", "", message)]));
    let Some(value) = headers.get(SIGNATURE) else {
        if state.config.require_signatures {
            return refused(format!("this server takes signed packages only: the header {SIGNATURE} is missing"));
        }
        return Ok(None);
    };
    let signature: Signature = match value.to_str().unwrap_or_default().parse() {
        Ok(signature) => signature,
        Err(error) => return refused(format!("{SIGNATURE}: {error}")),
    };
    let digest = sightflow_blobs::digest_of(component);
    let trusted = state.store.publishers(caller.tenant).await?;
    let holds = |publisher: &Publisher| {
        PublicKey(publisher.public_key).verifies(&identity.name, &identity.version, digest, &signature)
    };
    match trusted.into_iter().find(holds) {
        Some(publisher) => Ok(Some(publisher.name)),
        None => refused(format!(
            "no publisher whom the tenant trusts signed {} {} with these bytes",
            identity.name, identity.version
        )),
    }
}

/// Runs the examples that the blocks come with.
async fn verify(state: &ApiState, caller: Caller, package: &Package) -> Result<(), ApiError> {
    let catalog = Catalog::new([package.clone()]).map_err(ApiError::internal)?;
    let mut found = Vec::new();
    for entry in catalog.entries().iter().filter(|entry| entry.block.package == package.name) {
        let outcomes = run_examples(state.host(), caller.tenant, entry).await;
        found.extend(outcomes.iter().filter_map(ExampleOutcome::problem));
    }
    if found.is_empty() { Ok(()) } else { Err(invalid(found)) }
}

/// Stores the bytes, then the rows that say what they are.
async fn store(
    state: &ApiState,
    caller: Caller,
    quotas: &Quotas,
    package: Package,
    component: &Bytes,
    (activation, signed_by): (Activation, Option<String>),
) -> Result<PublishedVersion, ApiError> {
    let manifests = serde_json::to_value(&package.manifests).map_err(ApiError::internal)?;
    let mut attempt = 1;
    loop {
        let stored_at = state.store.now();
        let digest = state.blobs.put(component.clone()).await?;
        let blob = NewBlob {
            digest,
            size: component.len() as u64,
            media_type: "application/wasm".to_owned(),
            width: None,
            height: None,
            stored_at,
        };
        let new = NewBlockVersion {
            tenant_id: caller.tenant,
            package: package.name.clone(),
            version: package.version.to_string(),
            component: blob,
            manifests: manifests.clone(),
            wit_version: state.packages.wit_version().to_owned(),
            signed_by: signed_by.clone(),
            activation,
            quota: PackageQuota { packages: quotas.of(Quota::Packages), bytes: quotas.of(Quota::PackageBytes) },
        };
        match state.store.publish_block_version(new).await {
            // The collector was there between the two; it leaves new bytes alone.
            Err(StoreError::BlobBusy(_)) if attempt < intake::ATTEMPTS => tokio::time::sleep(intake::PAUSE).await,
            published => return Ok(published?),
        }
        attempt += 1;
    }
}
