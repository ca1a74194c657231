//! The links around a customer, read from the state: what the explanation of an identity is made from.

use super::intake::endpoint;
use crate::store::{LinkFacts, StoreError, View};
use std::collections::BTreeMap;
use tributary_dataflows::identity::Rules;
use tributary_dataflows::identity::explain::{Ends, Known, Verdict, explain};
use tributary_dataflows::profile::IdentifierFacts;
use tributary_model::IdentifierId;

/// Links that are looked at around one customer or between two identifiers.
pub const MOST_LINKS: usize = 2_000;
/// Links of one identifier that are counted to say how shared it is.
const MOST_NEIGHBOURS: usize = 2_000;

/// Links with what each does.
#[derive(Clone, Debug, Default)]
pub struct Around {
    /// Every identifier that one of the links, or the question, names.
    pub identifiers: BTreeMap<IdentifierId, (IdentifierFacts, Known)>,
    /// Each link, its evidence and what it does.
    pub links: Vec<(Ends, LinkFacts, Verdict)>,
    /// Whether there are more links than were looked at.
    pub truncated: bool,
}

/// The links of some identifiers and, up to so many steps further, of those they are linked to.
///
/// # Errors
/// If the state cannot be read.
pub fn around(view: &View<'_>, from: &[IdentifierId], steps: usize, rules: &Rules) -> Result<Around, StoreError> {
    let mut links: BTreeMap<Ends, LinkFacts> = BTreeMap::new();
    let mut seen: BTreeMap<IdentifierId, ()> = from.iter().map(|id| (*id, ())).collect();
    let mut open = from.to_vec();
    let mut truncated = false;
    for _ in 0..=steps {
        for id in std::mem::take(&mut open) {
            let room = MOST_LINKS.saturating_sub(links.len());
            let found = view.links_of(id, room + 1)?;
            truncated |= found.len() > room;
            for (ends, facts) in found.into_iter().take(room) {
                links.insert(ends, facts);
                open.extend([ends.0, ends.1].into_iter().filter(|end| seen.insert(*end, ()).is_none()));
            }
        }
    }
    let ids: Vec<IdentifierId> = seen.into_keys().collect();
    let mut identifiers = BTreeMap::new();
    for (id, facts) in ids.iter().zip(view.facts(&ids)?) {
        // An identifier whose namespace the definitions no longer have links nobody.
        let Some((facts, end)) = facts.and_then(|facts| endpoint(rules, *id, &facts).map(|end| (facts, end))) else {
            continue;
        };
        let neighbours = neighbours(view, *id, rules)?;
        let known = Known { namespace: end.namespace, owner: view.owner(*id)?, neighbours };
        identifiers.insert(*id, (facts, known));
    }
    let ends: Vec<Ends> = links.keys().copied().collect();
    let known = identifiers.iter().map(|(id, (_, known))| (*id, known.clone())).collect();
    let verdicts = explain(&ends, &known, rules);
    let links = links.into_iter().zip(verdicts).map(|((ends, facts), verdict)| (ends, facts, verdict)).collect();
    Ok(Around { identifiers, links, truncated })
}

/// How many identifiers of each namespace one is linked to; none are counted where no rule asks.
fn neighbours(view: &View<'_>, id: IdentifierId, rules: &Rules) -> Result<BTreeMap<u8, u32>, StoreError> {
    let mut counts = BTreeMap::new();
    if !rules.any_shared() {
        return Ok(counts);
    }
    let links = view.links_of(id, MOST_NEIGHBOURS)?;
    let others: Vec<_> = links.iter().map(|((a, b), _)| if *a == id { *b } else { *a }).collect();
    for (other, facts) in others.iter().zip(view.facts(&others)?) {
        if let Some(end) = facts.and_then(|facts| endpoint(rules, *other, &facts)) {
            *counts.entry(end.namespace).or_default() += 1;
        }
    }
    Ok(counts)
}
