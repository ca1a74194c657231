//! What an expression sees of a customer's groups, and how it is taken out of the expression: what speaks of a group
//! alone is computed once for the group, so that its members are looked at again only when the answer changes.

use super::customer::{CustomerColumn, CustomerTree, Registry};
use super::datum::Datum;
use super::evaluate::Source;
use super::syntax::Step;
use super::tree::Tree;
use super::types::{Type, Typed};
use crate::segments::GroupValues;
use rust_decimal::Decimal;
use tributary_model::Value;

/// What is read of one group, by index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum GroupColumn {
    /// The `groupId`.
    Id,
    /// How many customers belong to it.
    Members,
    /// A trait of the group.
    Trait(usize),
    /// A computed trait, over the events of all members.
    Computed(usize),
}

/// Reads one group's values.
#[derive(Debug)]
pub(crate) struct Group<'p, G> {
    pub(crate) group: &'p G,
    pub(crate) computed: &'p [Value],
}

impl<G: GroupValues> Source for Group<'_, G> {
    type Leaf = CustomerColumn;

    fn read<'a>(&'a self, column: &'a CustomerColumn) -> Datum<'a> {
        let CustomerColumn::Group(column) = column else { return Datum::Null };
        match column {
            GroupColumn::Id => Datum::owned(self.group.id()),
            GroupColumn::Members => Datum::Number(Decimal::from(self.group.members())),
            GroupColumn::Trait(slot) => Datum::owned(self.group.trait_value(*slot)),
            GroupColumn::Computed(index) => self.computed.get(*index).map_or(Datum::Null, Datum::borrowed),
        }
    }
}

/// No group: nothing is known of it.
#[derive(Debug)]
pub(crate) struct NoGroup;

impl Source for NoGroup {
    type Leaf = CustomerColumn;

    fn read<'a>(&'a self, _column: &'a CustomerColumn) -> Datum<'a> {
        Datum::Null
    }
}

/// What a name behind `group.` stands for.
pub(super) fn column(registry: &mut Registry, below: &[Step]) -> Result<Typed<CustomerColumn>, String> {
    let leaf = |column, is| Ok(Typed::new(Tree::Leaf(CustomerColumn::Group(column)), is));
    let Some((first, rest)) = below.split_first() else { return Err(WITHOUT_PARTS.to_owned()) };
    let name = first.folded();
    match (name.as_str(), rest) {
        ("id", []) => leaf(GroupColumn::Id, Type::Text),
        ("members", []) => leaf(GroupColumn::Members, Type::Number),
        ("traits", [_, ..]) => leaf(GroupColumn::Trait(registry.trait_path(rest)?), Type::Dynamic),
        ("traits", []) => {
            Err("`group.traits` holds many values; write the name of one, as group.traits.plan".to_owned())
        }
        (_, []) => match registry.computed.get(&name) {
            Some(Some((index, _))) if registry.clocked.0.contains(index) => Err(format!(
                "`{name}` changes with now(), and what all members of a group add up to does not; compare now() outside, as \
                 group.last_order_at < now() - INTERVAL '30 days'"
            )),
            Some(Some((index, is))) => leaf(GroupColumn::Computed(*index), *is),
            Some(None) => Ok(Typed::mistaken()),
            None => Err(format!(
                "a group has no `{name}`; write group.traits.{} for what group calls say, or the name of a computed \
                 trait, which is then that of all members together",
                first.text
            )),
        },
        _ => Err(format!("`group.{name}` has no parts; what group calls say is written group.traits.…")),
    }
}

pub(super) const WITHOUT_PARTS: &str = "`group` is the customer's account; write group.id, group.members, group.traits.plan, or group. and a computed trait";

/// `in_group(condition)`: whether the condition is true of any of the customer's groups.
pub(super) fn in_group(registry: &mut Registry, condition: CustomerTree) -> Result<Typed<CustomerColumn>, String> {
    if !leaves(&condition).all {
        return Err("in_group takes a condition on one group; what is the customer's own stands beside it, as \
                    in_group(group.traits.plan = 'pro') AND traits.role = 'admin'"
            .to_owned());
    }
    let index = registry.group_expression(condition)?;
    Ok(Typed::new(Tree::Leaf(CustomerColumn::InGroup(index)), Type::Bool))
}

/// Takes the largest parts of an expression that speak of the account alone out of it.
pub(crate) fn take_out(tree: &mut CustomerTree, registry: &mut Registry) -> Result<(), String> {
    let leaves = leaves(tree);
    if leaves.all && leaves.any {
        let taken = std::mem::replace(tree, Tree::NULL);
        *tree = Tree::Leaf(CustomerColumn::Account(registry.group_expression(taken)?));
    } else if leaves.any {
        tree.parts_mut().into_iter().try_for_each(|part| take_out(part, registry))?;
    }
    Ok(())
}

/// Whether any, and whether all leaves speak of a group.
struct Leaves {
    any: bool,
    all: bool,
}

fn leaves(tree: &CustomerTree) -> Leaves {
    let mut found = Leaves { any: false, all: true };
    tree.each_leaf(&mut |leaf| match leaf {
        CustomerColumn::Group(_) => found.any = true,
        _ => found.all = false,
    });
    found
}
