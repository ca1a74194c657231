//! Which segments a customer is in: a total function of the customer's features.

use crate::output::SegmentIndex;
use crate::profile::{Features, Plan};
use differential_dataflow::VecCollection;
use differential_dataflow::lattice::Lattice;
use std::sync::Arc;
use timely::progress::Timestamp;
use tributary_model::ProfileId;

/// (profile, segment) for each segment that the profile is in.
///
/// A changed profile is evaluated as it was and as it is; what stays true cancels in the consolidation.
pub fn members<'scope, T: Timestamp + Lattice>(
    profiles: VecCollection<'scope, T, (ProfileId, Features), isize>,
    plan: Arc<Plan>,
) -> VecCollection<'scope, T, (ProfileId, SegmentIndex), isize> {
    let memberships = profiles.flat_map(move |(profile, features)| {
        let evaluation = plan.evaluate(&features);
        let inside = evaluation.segments.into_iter().zip(0..=SegmentIndex::MAX).filter(|(is_in, _)| *is_in);
        inside.map(move |(_, segment)| (profile, segment)).collect::<Vec<_>>()
    });
    memberships.consolidate()
}
