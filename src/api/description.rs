//! The description of the API, made from the handlers: `GET /openapi.json`.

use super::error::ErrorAnswer;
use super::{
    audit, consent, dead_letters, definition_changes, definitions, feedback, groups, identity, ingest, operations,
    preview, profiles, render, segment_details, segments, snapshots, statements, suggestions, suppressions,
};
use std::sync::LazyLock;
use utoipa::openapi::path::Operation;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{Content, Ref, RefOr, ResponseBuilder};
use utoipa::{Modify, OpenApi};

/// The description, in JSON. It is made once.
pub(super) fn json() -> &'static str {
    static JSON: LazyLock<String> = LazyLock::new(|| {
        let made = Handlers::openapi().to_json();
        made.unwrap_or_else(|error| format!("{{\"error\":\"{error}\"}}"))
    });
    &JSON
}

const WRITE_KEY: &str = "write_key";
const TOKEN: &str = "token";

/// What may be answered to whoever needs a token.
const REFUSALS: [(&str, &str); 5] = [
    ("400", "A parameter or the body is not as described"),
    ("401", "No known token"),
    ("403", "The token may not"),
    ("429", "Too often; `Retry-After`"),
    ("503", "Not in time; `Retry-After`"),
];
/// What may be answered where there is a body.
const OF_BODIES: [(&str, &str); 3] = [
    ("408", "The body did not arrive in time"),
    ("413", "The body is too large"),
    ("415", "The body's encoding is not known"),
];

/// What holds for every handler, said once.
struct Everywhere;

impl Modify for Everywhere {
    fn modify(&self, api: &mut utoipa::openapi::OpenApi) {
        let components = api.components.get_or_insert_default();
        let basic = SecurityScheme::Http(Http::new(HttpAuthScheme::Basic));
        components.add_security_scheme(WRITE_KEY, basic);
        components.add_security_scheme(TOKEN, SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer)));
        for item in api.paths.paths.values_mut() {
            let methods = [&mut item.get, &mut item.put, &mut item.post, &mut item.delete];
            methods.into_iter().flatten().for_each(complete);
        }
    }
}

fn complete(operation: &mut Operation) {
    if is_open(operation) {
        return;
    }
    let is_ingestion = operation.tags.iter().flatten().any(|tag| tag == "ingestion");
    let scheme = if is_ingestion { WRITE_KEY } else { TOKEN };
    let none: [&str; 0] = [];
    operation.security = Some(vec![SecurityRequirement::new(scheme, none)]);
    let of_bodies = if operation.request_body.is_some() { OF_BODIES.as_slice() } else { &[] };
    for (status, description) in REFUSALS.iter().chain(of_bodies) {
        let answer = Content::new(Some(RefOr::Ref(Ref::from_schema_name("ErrorAnswer"))));
        let response = ResponseBuilder::new().description(*description).content("application/json", answer).build();
        operation.responses.responses.entry((*status).to_owned()).or_insert_with(|| response.into());
    }
}

/// Whether anybody may ask.
fn is_open(operation: &Operation) -> bool {
    let id = operation.operation_id.as_deref().unwrap_or_default();
    ["health", "ready", "metrics", "description", "settings", "feedback"].contains(&id)
}

/// What the handlers say of themselves.
#[derive(Debug, OpenApi)]
#[openapi(
    modifiers(&Everywhere),
    info(title = "Tributary", description = "Events in; profiles, segments and triggers out, as they happen."),
    components(schemas(ErrorAnswer)),
    paths(
        ingest::track,
        ingest::identify,
        ingest::page,
        ingest::screen,
        ingest::group,
        ingest::alias,
        ingest::batch,
        ingest::settings,
        profiles::profile,
        profiles::messages,
        profiles::events,
        consent::consent,
        consent::put_consent,
        suppressions::suppressions,
        suppressions::suppress,
        suppressions::unsuppress,
        feedback::feedback,
        identity::identity,
        identity::why,
        identity::conflicts,
        suggestions::suggestions,
        suggestions::refresh,
        suggestions::accept,
        suggestions::refuse,
        statements::link,
        statements::unlink,
        statements::retract,
        statements::delete,
        statements::delete_profile,
        statements::statements,
        groups::group,
        groups::members,
        definition_changes::apply,
        definition_changes::changes,
        definitions::traits,
        definitions::one_trait,
        definitions::create_trait,
        definitions::put_trait,
        definitions::delete_trait,
        definitions::create_segment,
        definitions::put_segment,
        definitions::delete_segment,
        segments::segments,
        segments::segment,
        segments::members,
        segments::stream,
        preview::preview,
        preview::stream,
        render::render,
        segment_details::explain,
        segment_details::history,
        segment_details::overlap,
        operations::rejected,
        dead_letters::list,
        dead_letters::replay,
        audit::audited,
        snapshots::take_snapshot,
        snapshots::delete_snapshot,
        operations::health,
        operations::ready,
        operations::metrics,
        operations::description,
    )
)]
struct Handlers;
