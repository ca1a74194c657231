//! The resolver in the dataflow: changes of evidence in, changes of owners out, epoch by epoch.

use super::evidence::{Evidence, Resolved};
use super::resolver::Resolver;
use super::rules::Rules;
use crate::sequential::by_epoch;
use differential_dataflow::VecCollection;
use std::sync::Arc;
use tributary_model::Epoch;

/// Who is one customer. One worker does it for all: a component may be anywhere, and a link takes a microsecond.
pub fn resolve<'scope>(
    evidence: VecCollection<'scope, Epoch, Evidence, isize>,
    rules: Arc<Rules>,
) -> VecCollection<'scope, Epoch, Resolved, isize> {
    let mut resolver = Resolver::new(rules);
    by_epoch(evidence, "Resolve", |_| 0, move |changes| resolver.apply(changes))
}
