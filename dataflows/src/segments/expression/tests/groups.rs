//! What an expression reads of the customer's groups.

use super::{MARCH, definitions, event, mistake};
use crate::groups::Totals;
use crate::profile::{Change, Features, IdentifierFacts, Plan};
use crate::segments::Program;
use differential_dataflow::difference::Semigroup;
use serde_json::{Value as Json, json};
use std::sync::Arc;
use tributary_model::{EventKind, GroupId, Identifier};

const LTV: &str = "sum(properties.total) FILTER (WHERE event = 'Order Completed')";

/// The value of an expression for a customer who spent 30, in the account `acme` with one who spent 70, and in `old`.
fn value_of(expression: &str) -> Json {
    let traits = [("ltv", LTV), ("average", "ltv / 2 + traits.seats"), ("it", expression)];
    let plan = Plan::new(Program::compile(&definitions(&traits, &[("rich", "ltv > 90")], &[])).unwrap());
    let plan = Arc::new(plan);
    let group = |name: &str, at, says: Json| {
        let mut call = event("", at, json!({}));
        (call.kind, call.event, call.group) = (EventKind::Group, None, Some(name.to_owned()));
        call.traits = says.as_object().unwrap().clone().into();
        call
    };
    let order = |total| event("Order Completed", MARCH, json!({ "total": total }));
    let mut totals = Totals::new(plan.clone());
    let mut changes = Vec::new();
    let mut facts_of = |name: &str, events: &[tributary_model::Event]| {
        let mut facts = IdentifierFacts::new(Identifier::new("user_id", name), MARCH);
        let mut change = Change::default();
        events.iter().for_each(|event| facts.apply(&plan, event, MARCH, &mut change));
        changes.extend(change.of_groups(&plan));
        for (belongs, _) in change.belongs {
            let mut features = facts.features(&plan).only(|slot| plan.counts_for_groups(slot));
            features.add(plan.slots.members(), 1, 0);
            changes.push((belongs.group, features));
        }
        facts
    };
    facts_of("bob", &[order(70), group("acme", MARCH, json!({ "plan": "pro", "name": "ACME" }))]);
    let old = group("old", MARCH - 5, json!({ "plan": "free", "seats": 1 }));
    let new = group("acme", MARCH + 5, json!({ "plan": "enterprise", "seats": 7 }));
    let ada = facts_of("ada", &[order(30), old, new]);

    let evaluated = totals.apply(changes);
    let mut features: Features = ada.features(&plan);
    for ((group, evaluation), _) in &evaluated {
        features.plus_equals(&plan.of_group(*group == GroupId::of("acme"), &evaluation.expressions));
    }
    let computed = plan.evaluate(&features, MARCH).computed;
    let index = plan.program.computed.iter().position(|computed| computed.name == "it").unwrap();
    computed[index].to_json()
}

#[test]
fn group_is_the_customers_account() {
    assert_eq!(value_of("group.id"), json!("acme"));
    assert_eq!(value_of("group.members"), json!(2));
    assert_eq!(value_of("group.traits.plan"), json!("enterprise"));
    assert_eq!(value_of("group.traits.name || ' ' || group.traits.seats"), json!("ACME 7"));
    assert_eq!(value_of("group.traits.nothing IS NULL"), json!(true));
}

#[test]
fn a_computed_trait_of_a_group_is_that_of_all_members_together() {
    assert_eq!(value_of("group.ltv"), json!(100));
    assert_eq!(value_of("ltv / group.ltv"), json!(0.3));
    assert_eq!(value_of("group.average"), json!(57), "traits are the group's own");
    assert_eq!(value_of("CASE WHEN group.ltv > 90 AND NOT in_segment('rich') THEN 'share' END"), json!("share"));
}

#[test]
fn in_group_asks_all_groups_of_the_customer() {
    assert_eq!(value_of("in_group(group.id = 'old')"), json!(true));
    assert_eq!(value_of("in_group(group.traits.plan = 'free' AND group.ltv < 50)"), json!(true));
    assert_eq!(value_of("in_group(group.traits.plan = 'pro')"), json!(false));
    assert_eq!(value_of("group.id = 'acme' AND NOT in_group(group.members > 2)"), json!(true));
}

#[test]
fn what_speaks_of_groups_alone_is_computed_once_for_the_group() {
    let text = "traits.role = 'admin' AND group.ltv > 50 AND (ltv > group.ltv / 2 OR group.traits.plan IN ('a', 'b'))";
    let program =
        Program::compile(&definitions(&[("ltv", LTV)], &[("a", text), ("b", "group.ltv > 50")], &[])).unwrap();
    assert_eq!(program.groups.len(), 3, "two conditions, one of them read twice, and half of the account's value");
    assert_eq!((program.groups.computed.len(), program.groups.aggregates.len()), (1, 1));
    let program = Program::compile(&definitions(&[("ltv", LTV)], &[("a", "ltv > 50")], &[])).unwrap();
    assert!(program.groups.is_empty());
}

#[test]
fn mistakes_about_groups() {
    let account = "`group` is the customer's account; write group.id, group.members, group.traits.plan, or group. and a \
                   computed trait";
    mistake("group IS NULL", &format!("1:1 {account}"));
    mistake(
        "group.plan = 'pro'",
        "1:1 a group has no `plan`; write group.traits.plan for what group calls say, or the name of a computed trait, \
         which is then that of all members together",
    );
    mistake("group.traits = 1", "1:1 `group.traits` holds many values; write the name of one, as group.traits.plan");
    mistake("group.ltv.x = 1", "1:1 `group.ltv` has no parts; what group calls say is written group.traits.…");
    mistake(
        "group.members = 'many'",
        "1:1 `group.members` is a number and `'many'` is text, so they never compare; compare values of one type",
    );
    mistake(
        "in_group(group.id = 'a' AND ltv > 5)",
        "1:1 in_group takes a condition on one group; what is the customer's own stands beside it, as \
         in_group(group.traits.plan = 'pro') AND traits.role = 'admin'",
    );
    mistake("in_group('a', 'b')", "1:1 in_group takes one condition; write in_group(group.id = 'acme')");
    mistake(
        "count(*) FILTER (WHERE group.id = 'a') > 1",
        "1:24 an aggregate sees one event at a time, and group is a customer's account; write that condition beside the \
         aggregate, joined by AND",
    );
    mistake("group.it > 1", "1:1 `it` needs itself: it → it; take one of these references out");
}
