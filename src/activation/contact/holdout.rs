//! Control groups: a share of all customers, drawn by a hash, so that nobody need remember who is in it.

use tributary_model::{Holdout, ProfileId};

/// A whole, in hundredths of a percent.
const WHOLE: u64 = 10_000;

/// Whether a customer is among those who get nothing. Customers who merge are who they are named as from then on.
pub(super) fn holds(holdout: &Holdout, profile: ProfileId) -> bool {
    let mut hasher = blake3::Hasher::new();
    hasher.update(holdout.name.as_bytes()).update(b"/").update(&profile.to_bytes());
    let mut drawn = [0; 8];
    hasher.finalize_xof().fill(&mut drawn);
    u64::from_be_bytes(drawn) % WHOLE < u64::from(holdout.basis_points)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn share(basis_points: u32, name: &str) -> Vec<u128> {
        let holdout = Holdout { basis_points, name: name.to_owned() };
        (0..100_000).filter(|id| holds(&holdout, ProfileId(*id))).collect()
    }

    #[test]
    fn a_share_is_as_large_as_it_says_and_larger_ones_contain_smaller_ones() {
        let (five, ten) = (share(500, "2026"), share(1_000, "2026"));
        // Five standard deviations.
        assert!((4_650..=5_350).contains(&five.len()), "{}", five.len());
        assert!(five.iter().all(|id| ten.contains(id)));
        assert_eq!((share(0, "2026").len(), share(10_000, "2026").len()), (0, 100_000));
    }

    #[test]
    fn another_name_draws_others() {
        let (one, other) = (share(1_000, "2026"), share(1_000, "2027"));
        let both = one.iter().filter(|id| other.binary_search(id).is_ok()).count();
        assert!((840..=1_160).contains(&both), "a tenth of a tenth: {both}");
    }
}
