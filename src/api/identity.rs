//! Why a customer is one: the graph of identifiers with its evidence and its history, the chain between two of them, and
//! what an operator should look at.

use super::auth::{Role, require};
use super::error::ApiError;
use super::extract::{Path, Query};
use super::profiles::{find, identifier_of};
use super::state::{ApiState, Freshness};
use crate::engine::explain::{Around, Told, around};
use crate::store::conflicts::{KINDS, told as told_conflict};
use crate::store::{StoreError, View};
use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use tributary_dataflows::identity::Stated;
use tributary_dataflows::identity::explain::{Verdict, chain, shared};
use tributary_model::{IdentifierId, ProfileId, format_millis};

/// Steps from either identifier that a chain is looked for.
const STEPS: usize = 8;
/// Moves of identifiers that are told.
const MOVES: usize = 100;

/// A customer's identifiers, and every link that touches one.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct IdentityAnswer {
    id: String,
    identifiers: Vec<EndAnswer>,
    /// Best evidence first.
    links: Vec<LinkAnswer>,
    /// Whether there are more links than are told (2,000).
    truncated: bool,
    /// Identifiers that came from other customers or went to others, latest first; at most 100.
    history: Vec<MoveAnswer>,
    epoch: u64,
}

#[derive(Debug, Serialize, utoipa::ToSchema)]
struct EndAnswer {
    /// `namespace:value`.
    identifier: String,
    first_seen: String,
    last_seen: String,
    /// Events that belong to it.
    events: u64,
    /// Whether it is linked to too many to join on.
    shared: bool,
    /// Whether it is among more links than one customer has, so that it is joined to nobody.
    tangled: bool,
}

#[derive(Debug, Serialize, utoipa::ToSchema)]
struct MoveAnswer {
    at: String,
    epoch: u64,
    /// `namespace:value`.
    identifier: String,
    /// The id of the profile that it belonged to.
    from: String,
    /// The id of the profile that it has belonged to since.
    to: String,
}

#[derive(Debug, Serialize, utoipa::ToSchema)]
struct LinkAnswer {
    /// The better identifier.
    a: String,
    /// The other one.
    b: String,
    /// Events that carried both; none where it was only stated.
    count: u64,
    first_seen: Option<String>,
    last_seen: Option<String>,
    /// Who sent them: the sources of write keys, or topics.
    sources: Vec<String>,
    /// `same` or `different`, where people have stated it.
    #[serde(skip_serializing_if = "Option::is_none")]
    stated: Option<&'static str>,
    /// `merges` or `cut`.
    status: &'static str,
    /// Whether the customer would fall apart without this link.
    bridge: bool,
    /// What cuts it.
    #[serde(skip_serializing_if = "Option::is_none")]
    rule: Option<RuleAnswer>,
}

#[derive(Debug, Serialize, utoipa::ToSchema)]
struct RuleAnswer {
    /// `block`, `shared_after`, `max_per_profile`, `max_links` or `unlink`.
    name: &'static str,
    /// In words.
    because: String,
}

/// Tells the graph of a customer's identifiers: which links hold it together, and which rules cut what.
#[utoipa::path(get, path = "/v1/profiles/{profile}/identity", tag = "identity",
    params(("profile" = String, Path, description = "`namespace:value` of any identifier, or a profile id"), Freshness),
    responses((status = 200, body = IdentityAnswer), (status = 404, description = "Nobody has this identifier"),
        (status = 503, description = "`min_position` is not committed in time")))]
pub async fn identity(
    State(state): State<Arc<ApiState>>,
    headers: HeaderMap,
    Path(key): Path<String>,
    Query(freshness): Query<Freshness>,
) -> Result<Json<IdentityAnswer>, ApiError> {
    require(&state.tokens, &headers, Role::Read)?;
    state.fresh(&freshness).await?;
    let answer = state.read(move |state, view| {
        let id = find(state, view, &key)?;
        let members = view.identifiers(id)?;
        let around = around(view, &members, 0, &state.rules, &state.processor)?;
        let identifiers = members.iter().filter_map(|id| Some((name(&around, *id), around.identifiers.get(id)?)));
        let identifiers = identifiers.map(|(identifier, (facts, known))| EndAnswer {
            identifier,
            first_seen: format_millis(facts.first_seen),
            last_seen: format_millis(facts.last_seen),
            events: facts.events,
            shared: shared(known, &state.rules).is_some(),
            tangled: known.tangled,
        });
        let mut links: Vec<_> = around.links.iter().collect();
        links.sort_by_key(|link| {
            let evidence = link.evidence.map(|evidence| (evidence.last_seen, evidence.count));
            (std::cmp::Reverse(evidence), link.ends)
        });
        let links = links.into_iter().map(|link| told(state, &around, link));
        Ok(IdentityAnswer {
            id: id.to_string(),
            identifiers: identifiers.collect(),
            links: links.collect(),
            truncated: around.truncated,
            history: history(view, &members)?,
            epoch: state.as_of(view)?.0,
        })
    });
    answer.await.map(Json)
}

/// What came to these identifiers' profiles and what left them.
fn history(view: &View<'_>, members: &[IdentifierId]) -> Result<Vec<MoveAnswer>, StoreError> {
    let mut moves = Vec::new();
    for member in members {
        moves.extend(view.moves(ProfileId::from(*member), MOVES)?);
    }
    // A move between two former profiles of one customer is found from both.
    moves.sort_unstable_by_key(|(epoch, identifier, _)| (std::cmp::Reverse(*epoch), *identifier));
    moves.dedup();
    moves.truncate(MOVES);
    let ids: Vec<_> = moves.iter().map(|(_, identifier, _)| *identifier).collect();
    let names = view.names(&ids)?;
    let answer = moves.iter().zip(names).map(|((epoch, _, made), identifier)| MoveAnswer {
        at: format_millis(made.at),
        epoch: *epoch,
        identifier,
        from: made.from.to_string(),
        to: made.to.to_string(),
    });
    Ok(answer.collect())
}

/// Which two identifiers.
#[derive(Clone, Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Pair {
    /// `namespace:value`.
    a: String,
    /// `namespace:value`.
    b: String,
}

/// Why two identifiers are one customer, or are not.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct WhyAnswer {
    /// Whether they are one customer.
    same: bool,
    /// The links from one to the other, with the fewest cut ones; empty where nothing was found that connects them.
    chain: Vec<LinkAnswer>,
    /// In words.
    because: String,
    epoch: u64,
}

/// Tells the chain of evidence between two identifiers, or the rule that keeps them apart.
#[utoipa::path(get, path = "/v1/identity/why", tag = "identity", params(Pair, Freshness),
    responses((status = 200, body = WhyAnswer), (status = 404, description = "Nobody has one of them"),
        (status = 503, description = "`min_position` is not committed in time")))]
pub async fn why(
    State(state): State<Arc<ApiState>>,
    headers: HeaderMap,
    Query(pair): Query<Pair>,
    Query(freshness): Query<Freshness>,
) -> Result<Json<WhyAnswer>, ApiError> {
    require(&state.tokens, &headers, Role::Read)?;
    state.fresh(&freshness).await?;
    let answer = state.read(move |state, view| {
        let (a, b) = (present(state, view, &pair.a)?, present(state, view, &pair.b)?);
        let same = view.owner(a)? == view.owner(b)?;
        let around = around(view, &[a, b], STEPS, &state.rules, &state.processor)?;
        let links: Vec<_> = around.links.iter().map(|link| (link.ends, link.verdict)).collect();
        let way = chain(a, b, &links);
        let links = way.iter().filter_map(|(ends, _)| around.links.iter().find(|link| link.ends == *ends));
        let chain: Vec<LinkAnswer> = links.map(|link| told(state, &around, link)).collect();
        let cut = chain.iter().find_map(|link| Some((link, link.rule.as_ref()?)));
        let because = match (same, &cut) {
            _ if a == b => "they are the same identifier".to_owned(),
            (true, _) if chain.is_empty() => format!("they are connected, by more than {STEPS} links or too many"),
            (true, _) => format!("{} links connect them", chain.len()),
            (false, Some((link, rule))) => format!("{} – {} is cut: {}", link.a, link.b, rule.because),
            (false, None) => "nothing that was found connects them".to_owned(),
        };
        Ok(WhyAnswer { same, chain, because, epoch: state.as_of(view)?.0 })
    });
    answer.await.map(Json)
}

/// An identifier that somebody has.
fn present(state: &ApiState, view: &View<'_>, key: &str) -> Result<IdentifierId, ApiError> {
    let identifier = identifier_of(state, key)?;
    let owner = view.owner(identifier)?;
    owner.map(|_| identifier).ok_or_else(|| ApiError::not_found("profile_not_found", "no customer has this identifier"))
}

/// `namespace:value`.
fn name(around: &Around, id: IdentifierId) -> String {
    let known = around.identifiers.get(&id);
    known.map_or_else(|| id.to_string(), |(facts, _)| facts.identifier.to_string())
}

fn told(state: &ApiState, around: &Around, link: &Told) -> LinkAnswer {
    let (name_of, ends) = (|id| name(around, id), link.ends);
    let rule = |name, because| Some(RuleAnswer { name, because });
    let rule = match link.verdict {
        Verdict::Merges { .. } => None,
        Verdict::Shared { identifier, namespace, count, limit } => rule(
            "shared_after",
            format!("{} is linked to {count} {}, more than {limit}", name_of(identifier), state.rules.name(namespace)),
        ),
        Verdict::Blocked { identifier } => {
            rule("block", format!("{} identifies nobody by the rules of today", name_of(identifier)))
        }
        Verdict::TooMany => rule(
            "max_per_profile",
            "together they would hold more of a namespace than a profile may, and this evidence is weaker".to_owned(),
        ),
        Verdict::Tangled => {
            rule("max_links", format!("it is one of more than {} links that hang together", state.rules.max_links()))
        }
        Verdict::Different { stated } => {
            rule("unlink", format!("{} and {} were unlinked", name_of(stated.0), name_of(stated.1)))
        }
    };
    LinkAnswer {
        a: name_of(ends.0),
        b: name_of(ends.1),
        count: link.evidence.map_or(0, |evidence| evidence.count),
        first_seen: link.evidence.map(|evidence| format_millis(evidence.first_seen)),
        last_seen: link.evidence.map(|evidence| format_millis(evidence.last_seen)),
        sources: around.sources_of(link),
        stated: link.stated.map(|stated| match stated {
            Stated::Same => "same",
            Stated::Different => "different",
        }),
        status: if rule.is_none() { "merges" } else { "cut" },
        bridge: link.verdict == Verdict::Merges { bridge: true },
        rule,
    }
}

/// Which conflicts.
#[derive(Clone, Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Kind {
    /// `shared`, `tangled`, `split` or `large`; all of them if not given.
    kind: Option<String>,
    /// At most so many of each kind; 100 if not given, at most 1,000.
    limit: Option<usize>,
}

/// What an operator should look at.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct ConflictsAnswer {
    /// How many there are, by kind.
    counts: std::collections::BTreeMap<String, i64>,
    /// The largest first, by kind.
    conflicts: Vec<ConflictAnswer>,
    epoch: u64,
}

#[derive(Debug, Serialize, utoipa::ToSchema)]
struct ConflictAnswer {
    /// `shared`: linked to too many to join on. `tangled`: among more links than one customer has. `split`: connected, but
    /// several customers by `max_per_profile` or a statement. `large`: a customer with many identifiers.
    kind: &'static str,
    /// `namespace:value`; of several, the best.
    identifier: String,
    /// The customers it is split into, or the identifiers that a large one has.
    #[serde(skip_serializing_if = "Option::is_none")]
    size: Option<u32>,
    since: String,
}

/// Tells which identifiers are shared or tangled, which customers were split, and which are large.
#[utoipa::path(get, path = "/v1/identity/conflicts", tag = "identity", params(Kind, Freshness),
    responses((status = 200, body = ConflictsAnswer), (status = 400, description = "No such kind"),
        (status = 503, description = "`min_position` is not committed in time")))]
pub async fn conflicts(
    State(state): State<Arc<ApiState>>,
    headers: HeaderMap,
    Query(kind): Query<Kind>,
    Query(freshness): Query<Freshness>,
) -> Result<Json<ConflictsAnswer>, ApiError> {
    require(&state.tokens, &headers, Role::Read)?;
    state.fresh(&freshness).await?;
    let kinds: Vec<_> =
        KINDS.into_iter().filter(|known| kind.kind.as_deref().is_none_or(|asked| asked == *known)).collect();
    if kinds.is_empty() {
        return Err(ApiError::bad_request("invalid_parameter", format!("kind: one of {}", KINDS.join(", "))));
    }
    let limit = kind.limit.unwrap_or(100).clamp(1, 1_000);
    let answer = state.read(move |_, view| {
        let mut conflicts = Vec::new();
        for kind in kinds {
            conflicts.extend(view.conflicts(kind, limit)?);
        }
        let about = |noted: &crate::store::conflicts::Noted| told_conflict(&noted.conflict).2;
        let ids: Vec<_> = conflicts.iter().map(about).collect();
        let names = view.names(&ids)?;
        let conflicts = conflicts.iter().zip(names).map(|(noted, identifier)| {
            let (kind, size, _) = told_conflict(&noted.conflict);
            let size = (size > 0).then_some(size);
            ConflictAnswer { kind, identifier, size, since: format_millis(noted.since) }
        });
        let conflicts = conflicts.collect();
        let meta = view.meta()?.unwrap_or_default();
        Ok(ConflictsAnswer { counts: meta.conflicts, conflicts, epoch: meta.epoch })
    });
    answer.await.map(Json)
}
