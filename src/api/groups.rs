//! Groups (accounts, workspaces, companies): what is known of one, and who belongs to it.

use super::auth::{Role, require};
use super::error::ApiError;
use super::extract::{Path, Query};
use super::page;
use super::segments::{MembersAnswer, Page};
use super::state::{ApiState, Freshness};
use crate::store::{StoreError, View};
use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use serde::Serialize;
use serde_json::{Map, Value};
use std::collections::HashMap;
use std::sync::Arc;
use tributary_model::{GroupId, IdentifierId, ProfileId};

/// Identifiers of a group that are counted where the dataflow does not.
const MOST_COUNTED: usize = 100_000;
/// Identifiers of a group that are read at once.
const CHUNK: usize = 1_000;

/// A group as of one epoch.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct OneGroupAnswer {
    /// The `groupId`.
    id: String,
    /// Customers that belong to it; null for one of more than 100,000 identifiers where no definition reads groups.
    members: Option<i64>,
    /// Latest traits that group calls gave it.
    #[schema(value_type = Object)]
    traits: Map<String, Value>,
    /// The computed traits that definitions read of groups, over the events of all members.
    #[schema(value_type = Object)]
    computed: Map<String, Value>,
    /// The epoch that this is as of.
    epoch: u64,
    /// What that epoch covers of the log.
    position: String,
}

/// Reads a group.
#[utoipa::path(get, path = "/v1/groups/{group}", operation_id = "one_group", tag = "groups",
    params(("group" = String, Path, description = "The `groupId` as it was sent"), Freshness),
    responses((status = 200, body = OneGroupAnswer), (status = 404, description = "Nobody belongs to it"),
        (status = 503, description = "`min_position` is not committed in time")))]
pub async fn group(
    State(state): State<Arc<ApiState>>,
    headers: HeaderMap,
    Path(id): Path<String>,
    Query(freshness): Query<Freshness>,
) -> Result<Json<OneGroupAnswer>, ApiError> {
    require(&state.tokens, &headers, Role::Read)?;
    state.fresh(&freshness).await?;
    let answer = state.read(move |state, view| {
        let group = find(view, &id)?;
        let evaluation = view.evaluation(group)?;
        let members = match &evaluation {
            Some(evaluation) => Some(evaluation.members),
            None => count(view, group)?,
        };
        let program = &state.definer.at_start().program;
        let names = program.groups.computed.iter().filter_map(|index| program.computed.get(*index));
        let values = evaluation.iter().flat_map(|evaluation| &evaluation.computed);
        let computed = names.map(|computed| computed.name.clone()).zip(values.map(tributary_model::Value::to_json));
        let (epoch, position) = state.as_of(view)?;
        Ok(OneGroupAnswer {
            id: id.trim().to_owned(),
            members,
            traits: view.group_traits(group)?,
            computed: computed.collect(),
            epoch,
            position,
        })
    });
    answer.await.map(Json)
}

/// The members of a group.
#[utoipa::path(get, path = "/v1/groups/{group}/members", operation_id = "group_members", tag = "groups",
    params(("group" = String, Path, description = "The `groupId` as it was sent"), Page, Freshness),
    responses((status = 200, body = MembersAnswer), (status = 404, description = "Nobody belongs to it"),
        (status = 503, description = "`min_position` is not committed in time")))]
pub async fn members(
    State(state): State<Arc<ApiState>>,
    headers: HeaderMap,
    Path(id): Path<String>,
    Query(page): Query<Page>,
    Query(freshness): Query<Freshness>,
) -> Result<Json<MembersAnswer>, ApiError> {
    require(&state.tokens, &headers, Role::Read)?;
    state.fresh(&freshness).await?;
    let (limit, mut after) = page.read::<IdentifierId>()?;
    let answer = state.read(move |state, view| {
        let group = find(view, &id)?;
        let mut members = Vec::new();
        let mut firsts = Firsts::default();
        loop {
            let identifiers = view.group_members(group, after, CHUNK)?;
            for identifier in &identifiers {
                if let Some(profile) = firsts.stands_for(view, group, *identifier)? {
                    members.push((profile, *identifier));
                }
            }
            after = identifiers.last().copied();
            if members.len() > limit || identifiers.len() < CHUNK {
                break;
            }
        }
        let next = page::cut(&mut members, limit, |(_, identifier)| identifier.to_string());
        let members = members.into_iter().map(|(profile, _)| profile.to_string()).collect();
        Ok(MembersAnswer { members, next, epoch: state.as_of(view)?.0 })
    });
    answer.await.map(Json)
}

/// A group that somebody belongs to.
fn find(view: &View<'_>, id: &str) -> Result<GroupId, ApiError> {
    let group = GroupId::of(id.trim());
    if view.group_members(group, None, 1)?.is_empty() {
        return Err(ApiError::not_found("group_not_found", "nobody belongs to this group"));
    }
    Ok(group)
}

/// Of customers who were met, the first of their identifiers that belong to a group.
#[derive(Default)]
struct Firsts(HashMap<ProfileId, Option<IdentifierId>>);

impl Firsts {
    /// The customer of an identifier that belongs to a group, if it is the first of the customer's that do.
    fn stands_for(
        &mut self,
        view: &View<'_>,
        group: GroupId,
        identifier: IdentifierId,
    ) -> Result<Option<ProfileId>, StoreError> {
        let Some(profile) = view.owner(identifier)? else { return Ok(None) };
        let first = match self.0.get(&profile) {
            Some(first) => *first,
            None => {
                let mut first = None;
                for own in view.identifiers(profile)? {
                    if view.is_group_member(group, own)? {
                        first = Some(own);
                        break;
                    }
                }
                self.0.insert(profile, first);
                first
            }
        };
        Ok((first == Some(identifier)).then_some(profile))
    }
}

fn count(view: &View<'_>, group: GroupId) -> Result<Option<i64>, StoreError> {
    let identifiers = view.group_members(group, None, MOST_COUNTED + 1)?;
    if identifiers.len() > MOST_COUNTED {
        return Ok(None);
    }
    let (mut members, mut firsts) = (0, Firsts::default());
    for identifier in identifiers {
        members += i64::from(firsts.stands_for(view, group, identifier)?.is_some());
    }
    Ok(Some(members))
}
