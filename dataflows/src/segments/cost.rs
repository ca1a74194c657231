//! What a definition costs: how much of each identifier is kept for it at most.

use super::expression::aggregate::Aggregate;
use super::program::{DefinitionError, Place, Program, Step};
use tributary_model::limits;

impl Program {
    /// The most values that are kept of one identifier for all definitions together.
    pub fn most_values_of_all(&self) -> usize {
        self.aggregates.iter().map(Aggregate::most_values).fold(0, usize::saturating_add)
    }

    /// The most values that are kept of one identifier for what a segment, by index, reads itself.
    pub fn most_values_of_segment(&self, segment: usize) -> usize {
        self.most_values(Step::Segment(segment))
    }

    /// The most values that are kept of one identifier for what a computed trait, by index, reads itself.
    pub fn most_values_of_trait(&self, computed: usize) -> usize {
        self.most_values(Step::Computed(computed))
    }

    /// What is wrong with a definition that would keep more of one identifier than one may.
    pub(super) fn too_costly(&self, step: Step) -> Option<DefinitionError> {
        let values = self.most_values(step);
        let place = match step {
            Step::Computed(index) => Place::Trait(self.computed.get(index)?.name.clone()),
            Step::Segment(index) => Place::Segment(self.segments.get(index)?.id.clone()),
        };
        let most = limits::DEFINITION_VALUES;
        let message = format!(
            "this may keep {values} values of one customer, and a definition may keep {most}; look less far back, or count \
             what has fewer different values"
        );
        (values > most).then_some(DefinitionError { place, line: 1, column: 1, message })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use tributary_model::{Definitions, Segment};

    fn compiled(condition: &str) -> Result<usize, String> {
        let segment = Segment { name: "it".to_owned(), condition: condition.to_owned() };
        let definitions = Definitions { segments: [("it".to_owned(), segment)].into(), ..Definitions::default() };
        let program = Program::compile(&definitions).map_err(|errors| errors.first().unwrap().to_string())?;
        Ok(program.most_values_of_segment(0))
    }

    #[test]
    fn what_is_kept_at_most_is_known_before_it_is() {
        assert_eq!(compiled("count(*) > 1 AND sum(properties.total) > 2"), Ok(2));
        assert_eq!(compiled("count(DISTINCT event) > 1"), Ok(limits::DISTINCT_VALUES));
        // A day of minutes, the one that is leaving, and a day ahead.
        assert_eq!(compiled("count(*) FILTER (WHERE timestamp > now() - INTERVAL '1 day') > 1"), Ok(2 * 1_440 + 1));
        let months = "count(*) FILTER (WHERE timestamp >= date_trunc('month', now() - INTERVAL '80 days')) > 1";
        assert_eq!(compiled(months), Ok(2 + 2));
    }

    #[test]
    fn what_would_be_too_much_is_refused() {
        let distinct =
            |days| format!("count(DISTINCT event) FILTER (WHERE timestamp > now() - INTERVAL '{days} days') > 1");
        assert!(compiled(&distinct(90)).is_ok());
        let refused = compiled(&distinct(3_650)).unwrap_err();
        assert!(refused.contains("segment `it`, line 1") && refused.contains("look less far back"), "{refused}");
        let minutes = "count(*) FILTER (WHERE timestamp >= date_trunc('minute', now() - INTERVAL '3650 days')) > 1";
        assert!(compiled(minutes).is_err());
    }
}
