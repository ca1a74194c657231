//! An order in which everything comes after what it needs, and the cycles that stand in the way of one.

/// What each node needs, by index, in a fixed order.
pub(super) type Needs = Vec<Vec<usize>>;

/// The result of [`order`].
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Order {
    /// Every node once, after all that it needs (but for the cycles).
    pub(super) nodes: Vec<usize>,
    /// Each cycle as a path that ends where it began.
    pub(super) cycles: Vec<Vec<usize>>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Mark {
    New,
    OnPath,
    Done,
}

/// Orders the nodes, smaller indexes first where nothing else decides.
pub(super) fn order(needs: &Needs) -> Order {
    let mut marks = vec![Mark::New; needs.len()];
    let mut order = Order { nodes: Vec::with_capacity(needs.len()), cycles: Vec::new() };
    let mark = |marks: &[Mark], node: usize| marks.get(node).copied().unwrap_or(Mark::Done);
    let set = |marks: &mut [Mark], node: usize, mark| {
        if let Some(held) = marks.get_mut(node) {
            *held = mark;
        }
    };
    for root in 0..needs.len() {
        if mark(&marks, root) != Mark::New {
            continue;
        }
        // The path from the root, each node with how many of its needs were followed: chains may be long.
        let mut path = vec![(root, 0)];
        set(&mut marks, root, Mark::OnPath);
        while let Some((node, followed)) = path.last_mut() {
            let node = *node;
            let Some(&needed) = needs.get(node).and_then(|needed| needed.get(*followed)) else {
                set(&mut marks, node, Mark::Done);
                order.nodes.push(node);
                path.pop();
                continue;
            };
            *followed += 1;
            match mark(&marks, needed) {
                Mark::New => {
                    set(&mut marks, needed, Mark::OnPath);
                    path.push((needed, 0));
                }
                Mark::OnPath => {
                    let cycle = path.iter().map(|(node, _)| *node).skip_while(|node| *node != needed);
                    order.cycles.push(cycle.chain([needed]).collect());
                }
                Mark::Done => {}
            }
        }
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(needs: &[&[usize]], nodes: &[usize], cycles: &[&[usize]]) {
        let needs = needs.iter().map(|needed| needed.to_vec()).collect();
        let expected = Order { nodes: nodes.to_vec(), cycles: cycles.iter().map(|cycle| cycle.to_vec()).collect() };
        assert_eq!(order(&needs), expected);
    }

    #[test]
    fn what_is_needed_comes_first() {
        check(&[], &[], &[]);
        check(&[&[], &[]], &[0, 1], &[]);
        check(&[&[2], &[], &[1]], &[1, 2, 0], &[]);
        check(&[&[1, 2], &[3], &[3], &[]], &[3, 1, 2, 0], &[]);
    }

    #[test]
    fn a_cycle_is_told_once_and_named_in_order() {
        check(&[&[0]], &[0], &[&[0, 0]]);
        check(&[&[1], &[2], &[0]], &[2, 1, 0], &[&[0, 1, 2, 0]]);
        check(&[&[1], &[2], &[1]], &[2, 1, 0], &[&[1, 2, 1]]);
    }

    #[test]
    fn a_long_chain_is_no_danger_to_the_stack() {
        let count = 100_000;
        let chain: Needs = (0..count).map(|node| if node + 1 < count { vec![node + 1] } else { vec![] }).collect();
        let order = order(&chain);
        assert_eq!(order.nodes.first(), Some(&(count - 1)));
        assert!(order.cycles.is_empty());
    }
}
