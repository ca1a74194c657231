//! The links around a customer, read from the state: what the explanation of an identity is made from.

use super::intake::node;
use crate::store::{LinkFacts, StoreError, View};
use std::collections::BTreeMap;
use tributary_connectors::process::Processor;
use tributary_dataflows::identity::explain::{Known, Verdict, explain};
use tributary_dataflows::identity::{Conflict, Ends, Rules, Stated, ends};
use tributary_dataflows::profile::IdentifierFacts;
use tributary_model::IdentifierId;

/// Links that are looked at around one customer or between two identifiers.
pub const MOST_LINKS: usize = 2_000;
/// Links of one identifier that are counted to say how shared it is.
const MOST_NEIGHBOURS: usize = 2_000;

/// What connects two identifiers, or was stated of them.
#[derive(Clone, Copy, Debug, Default)]
struct Connection {
    evidence: Option<LinkFacts>,
    stated: Option<Stated>,
}

/// A link as it is told.
#[derive(Clone, Copy, Debug)]
pub struct Told {
    /// The better identifier, the other.
    pub ends: Ends,
    /// What events say; none where it was only stated.
    pub evidence: Option<LinkFacts>,
    /// What people have stated.
    pub stated: Option<Stated>,
    /// What it does.
    pub verdict: Verdict,
}

/// Links with what each does.
#[derive(Clone, Debug, Default)]
pub struct Around {
    /// Every identifier that one of the links, or the question, names.
    pub identifiers: BTreeMap<IdentifierId, (IdentifierFacts, Known)>,
    /// The links.
    pub links: Vec<Told>,
    /// Whether there are more links than were looked at.
    pub truncated: bool,
    /// The names of all sources, by place.
    sources: Vec<String>,
}

impl Around {
    /// The names of those who sent a link's events.
    pub fn sources_of(&self, link: &Told) -> Vec<String> {
        let places = link.evidence.into_iter().flat_map(LinkFacts::sources);
        places.filter_map(|place| self.sources.get(place).cloned()).collect()
    }
}

/// The links of some identifiers and, up to so many steps further, of those they are linked to.
///
/// # Errors
/// If the state cannot be read.
pub fn around(
    view: &View<'_>,
    from: &[IdentifierId],
    steps: usize,
    rules: &Rules,
    processor: &Processor,
) -> Result<Around, StoreError> {
    let mut links: BTreeMap<Ends, Connection> = BTreeMap::new();
    let mut seen: BTreeMap<IdentifierId, ()> = from.iter().map(|id| (*id, ())).collect();
    let mut open = from.to_vec();
    let mut truncated = false;
    for _ in 0..=steps {
        for id in std::mem::take(&mut open) {
            let room = MOST_LINKS.saturating_sub(links.len());
            let found = view.links_of(id, room + 1)?;
            truncated |= found.len() > room;
            for (ends, facts) in found.into_iter().take(room) {
                links.entry(ends).or_default().evidence = Some(facts);
                open.extend([ends.0, ends.1].into_iter().filter(|end| seen.insert(*end, ()).is_none()));
            }
            for (other, standing) in view.standing_of(id)? {
                if standing.stated.is_some() {
                    links.entry(ends(id, other)).or_default().stated = standing.stated;
                    open.extend(seen.insert(other, ()).is_none().then_some(other));
                }
            }
        }
    }
    let ids: Vec<IdentifierId> = seen.into_keys().collect();
    let mut identifiers = BTreeMap::new();
    for (id, facts) in ids.iter().zip(view.facts(&ids)?) {
        let Some(facts) = facts else { continue };
        let known = Known {
            namespace: node(rules, &facts).namespace,
            owner: view.owner(*id)?,
            neighbours: neighbours(view, *id, rules)?,
            tangled: view.has_conflict(&Conflict::Tangled(*id))?,
            blocked: processor.blocks(&facts.identifier),
        };
        identifiers.insert(*id, (facts, known));
    }
    let stated: Vec<_> = links.iter().map(|(ends, connection)| (*ends, connection.stated)).collect();
    let known = identifiers.iter().map(|(id, (_, known))| (*id, known.clone())).collect();
    let verdicts = explain(&stated, &known, rules);
    let rank = |id: IdentifierId| identifiers.get(&id).map(|(facts, _)| node(rules, facts));
    let links = links.into_iter().zip(verdicts).map(|((ends, Connection { evidence, stated }), verdict)| {
        let ends = if rank(ends.1) < rank(ends.0) { (ends.1, ends.0) } else { ends };
        Told { ends, evidence, stated, verdict }
    });
    let links = links.collect();
    let sources = view.meta()?.unwrap_or_default().sources;
    Ok(Around { identifiers, links, truncated, sources })
}

/// How many identifiers of each namespace one is linked to; none are counted where no rule asks.
fn neighbours(view: &View<'_>, id: IdentifierId, rules: &Rules) -> Result<BTreeMap<u8, u32>, StoreError> {
    let mut counts = BTreeMap::new();
    if !rules.any_shared() {
        return Ok(counts);
    }
    let links = view.links_of(id, MOST_NEIGHBOURS)?;
    let others: Vec<_> = links.iter().map(|((a, b), _)| if *a == id { *b } else { *a }).collect();
    for facts in view.facts(&others)?.into_iter().flatten() {
        *counts.entry(node(rules, &facts).namespace).or_default() += 1;
    }
    Ok(counts)
}
