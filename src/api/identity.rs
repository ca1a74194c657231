//! Why a customer is one: the graph of identifiers with its evidence, and the chain between two of them.

use super::auth::{Role, require};
use super::error::ApiError;
use super::extract::{Path, Query};
use super::profiles::{find, identifier_of};
use super::state::{ApiState, Freshness};
use crate::engine::explain::{Around, around};
use crate::store::{LinkFacts, View};
use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use tributary_dataflows::identity::explain::{Ends, Verdict, chain, shared};
use tributary_model::{IdentifierId, format_millis};

/// Steps from either identifier that a chain is looked for.
const STEPS: usize = 8;

/// A customer's identifiers, and every link that touches one.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct IdentityAnswer {
    id: String,
    identifiers: Vec<IdentifierAnswer>,
    /// Best evidence first.
    links: Vec<LinkAnswer>,
    /// Whether there are more links than are told (2,000).
    truncated: bool,
    epoch: u64,
}

#[derive(Debug, Serialize, utoipa::ToSchema)]
struct IdentifierAnswer {
    /// `namespace:value`.
    identifier: String,
    first_seen: String,
    last_seen: String,
    /// Events that belong to it.
    events: u64,
    /// Whether it is linked to too many to join on.
    shared: bool,
}

#[derive(Debug, Serialize, utoipa::ToSchema)]
struct LinkAnswer {
    /// The better identifier.
    a: String,
    /// The other one.
    b: String,
    /// Events that carried both.
    count: u64,
    first_seen: String,
    last_seen: String,
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
    /// `shared_after` or `max_per_profile`.
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
        let around = around(view, &members, 0, &state.rules)?;
        let identifiers = members.iter().filter_map(|id| Some((name(&around, *id), around.identifiers.get(id)?)));
        let identifiers = identifiers.map(|(identifier, (facts, known))| IdentifierAnswer {
            identifier,
            first_seen: format_millis(facts.first_seen),
            last_seen: format_millis(facts.last_seen),
            events: facts.events,
            shared: shared(known, &state.rules).is_some(),
        });
        let mut links: Vec<_> = around.links.iter().collect();
        links.sort_by_key(|(ends, facts, _)| (std::cmp::Reverse((facts.last_seen, facts.count)), *ends));
        let links = links.into_iter().map(|(ends, facts, verdict)| told(state, &around, *ends, *facts, *verdict));
        Ok(IdentityAnswer {
            id: id.to_string(),
            identifiers: identifiers.collect(),
            links: links.collect(),
            truncated: around.truncated,
            epoch: state.as_of(view)?.0,
        })
    });
    answer.await.map(Json)
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
        let around = around(view, &[a, b], STEPS, &state.rules)?;
        let links: Vec<_> = around.links.iter().map(|(ends, _, verdict)| (*ends, *verdict)).collect();
        let way = chain(a, b, &links);
        let with_evidence = way.iter().filter_map(|(ends, _)| around.links.iter().find(|(link, ..)| link == ends));
        let chain: Vec<LinkAnswer> =
            with_evidence.map(|(ends, facts, verdict)| told(state, &around, *ends, *facts, *verdict)).collect();
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
    find(state, view, key)?;
    identifier_of(state, key)
}

/// `namespace:value`.
fn name(around: &Around, id: IdentifierId) -> String {
    let known = around.identifiers.get(&id);
    known.map_or_else(|| id.to_string(), |(facts, _)| facts.identifier.to_string())
}

fn told(state: &ApiState, around: &Around, ends: Ends, facts: LinkFacts, verdict: Verdict) -> LinkAnswer {
    let rule = match verdict {
        Verdict::Merges { .. } => None,
        Verdict::Shared { identifier, namespace, count, limit } => Some(RuleAnswer {
            name: "shared_after",
            because: format!(
                "{} is linked to {count} {}, more than {limit}",
                name(around, identifier),
                state.rules.name(namespace)
            ),
        }),
        Verdict::TooMany => Some(RuleAnswer {
            name: "max_per_profile",
            because: "together they would hold more of a namespace than a profile may, and this evidence is weaker"
                .to_owned(),
        }),
    };
    LinkAnswer {
        a: name(around, ends.0),
        b: name(around, ends.1),
        count: facts.count,
        first_seen: format_millis(facts.first_seen),
        last_seen: format_millis(facts.last_seen),
        status: if rule.is_none() { "merges" } else { "cut" },
        bridge: verdict == Verdict::Merges { bridge: true },
        rule,
    }
}
