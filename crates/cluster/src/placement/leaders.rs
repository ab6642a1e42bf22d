//! Who should lead: evenly spread, and as far as possible who leads already.
//!
//! ```text
//!  node 1 leads a b c   ── b has a vote of 2 ──▶  node 2 leads d  ── d has one of 3 ──▶  node 3 leads –
//!  becomes     a c                                         b                                     d
//! ```
//!
//! Along such a chain one leadership moves from a node with many to one with at least two fewer. When
//! there is no chain left, no assignment is more even (it is a bipartite semi-matching without a
//! cost-reducing path).

use std::collections::{BTreeMap, VecDeque};

use crate::node::{NodeId, NodeSet};
use crate::shards::{META_GROUP, ShardId};

/// What it is to lead a group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Burden {
    /// Its clients are served: what is spread.
    #[default]
    Clients,
    /// Hardly anything: the meta group, which would otherwise be its leader's share of three nodes' three shards.
    None,
}

impl Burden {
    /// What it is to lead this group.
    pub fn of(shard: ShardId) -> Burden {
        if shard == META_GROUP { Burden::None } else { Burden::Clients }
    }
}

/// Of whom a group may choose its leader.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Choice {
    /// Who could lead.
    pub candidates: NodeSet,
    /// Who shall, if it can.
    pub pinned: Option<NodeId>,
    /// Who does.
    pub current: Option<NodeId>,
    /// What it is to the one who does.
    pub burden: Burden,
}

/// A leader for each group that has a candidate.
///
/// Of two nodes, none leads two groups with clients more than the other if a chain of candidates allows that. Pinned
/// leaders are never moved for the balance, nor are those of groups without.
pub fn spread_leaders(choices: &[Choice]) -> Vec<Option<NodeId>> {
    let mut spread = Spread::new(choices);
    while spread.improve() {}
    spread.leaders
}

/// The next leadership to hand over on the way to an even spread: which group, and to whom.
///
/// Handed over one at a time, each looked for anew, leaders come to rest: a step makes the spread more
/// even, or leaves it as even and the shortest chain shorter by one.
pub fn next_transfer(choices: &[Choice]) -> Option<(usize, NodeId)> {
    let spread = Spread::new(choices);
    let mut settled = spread.leaders.iter().zip(choices).enumerate();
    let misplaced = settled.find_map(|(index, (leader, choice))| {
        let to = leader.filter(|_| choice.current.is_some() && choice.current != *leader)?;
        Some((index, to))
    });
    // The last link comes first: its end has room.
    misplaced.or_else(|| spread.shortest_chain()?.first().copied())
}

struct Spread<'c> {
    choices: &'c [Choice],
    leaders: Vec<Option<NodeId>>,
    load: BTreeMap<NodeId, usize>,
}

/// By which group a chain came to a node, and from which node.
type Steps = BTreeMap<NodeId, (usize, NodeId)>;

/// By node: which of its groups others may lead, and who.
type Exits<'c> = BTreeMap<NodeId, Vec<(usize, &'c NodeSet)>>;

impl<'c> Spread<'c> {
    fn new(choices: &'c [Choice]) -> Spread<'c> {
        let candidates = choices.iter().flat_map(|choice| &choice.candidates);
        let mut spread = Spread {
            choices,
            leaders: vec![None; choices.len()],
            load: candidates.map(|&node| (node, 0)).collect(),
        };
        // First who is settled, so that the others are chosen around them.
        for (index, choice) in choices.iter().enumerate() {
            let wishes = [choice.pinned, choice.current].into_iter().flatten();
            if let Some(node) = wishes.into_iter().find(|node| choice.candidates.contains(node)) {
                spread.lead(index, node);
            }
        }
        for (index, choice) in choices.iter().enumerate() {
            if spread.leaders[index].is_none() {
                let least = choice.candidates.iter().min_by_key(|node| spread.load[node]);
                least.copied().into_iter().for_each(|node| spread.lead(index, node));
            }
        }
        spread
    }

    fn lead(&mut self, index: usize, node: NodeId) {
        let before = self.leaders[index].replace(node);
        if self.choices[index].burden == Burden::None {
            return;
        }
        if let Some(before) = before {
            *self.load.get_mut(&before).expect("it led") -= 1;
        }
        *self.load.get_mut(&node).expect("it is a candidate") += 1;
    }

    /// Moves one leadership along one chain, if there is one.
    fn improve(&mut self) -> bool {
        let chain = self.shortest_chain();
        let found = chain.is_some();
        for (index, node) in chain.into_iter().flatten() {
            self.lead(index, node);
        }
        found
    }

    /// Of the shortest chains the one that begins at the busiest node.
    fn shortest_chain(&self) -> Option<Vec<(usize, NodeId)>> {
        let least = *self.load.values().min()?;
        let mut starts: Vec<_> = self.load.iter().map(|(&node, &load)| (load, node)).collect();
        // Others have nobody with two fewer, which is most of them in a cluster at rest.
        starts.retain(|(load, _)| *load >= least + 2);
        if starts.is_empty() {
            return None;
        }
        starts.sort_unstable_by(|one, other| other.cmp(one));
        let exits = self.exits();
        let mut shortest: Option<Vec<_>> = None;
        for (load, start) in starts {
            let below = shortest.as_ref().map_or(usize::MAX, Vec::len);
            shortest = self.chain(&exits, start, load, below).or(shortest);
        }
        shortest
    }

    /// The shortest chain of fewer links than `below` from a node with `load` to one with two fewer, its last
    /// link first: which group goes to whom.
    fn chain(
        &self,
        exits: &Exits<'_>,
        start: NodeId,
        load: usize,
        below: usize,
    ) -> Option<Vec<(usize, NodeId)>> {
        let mut steps = Steps::new();
        let mut queue = VecDeque::from([(start, 1)]);
        while let Some((from, links)) = queue.pop_front().filter(|(_, links)| *links < below) {
            let groups = exits.get(&from).into_iter().flatten();
            let onward = groups.flat_map(|&(index, to)| to.iter().map(move |&to| (index, to)));
            for (index, to) in onward {
                if to == start || steps.contains_key(&to) {
                    continue;
                }
                steps.insert(to, (index, from));
                if self.load[&to] + 2 <= load {
                    return Some(walk_back(&steps, start, to));
                }
                queue.push_back((to, links + 1));
            }
        }
        None
    }

    /// Groups that a node leads and need not, and who could.
    fn exits(&self) -> Exits<'_> {
        let mut exits = Exits::new();
        for (index, (leader, choice)) in self.leaders.iter().zip(self.choices).enumerate() {
            let weighs = choice.burden == Burden::Clients;
            if let Some(leader) = leader.filter(|leader| weighs && choice.pinned != Some(*leader)) {
                exits.entry(leader).or_default().push((index, &choice.candidates));
            }
        }
        exits
    }
}

fn walk_back(steps: &Steps, start: NodeId, end: NodeId) -> Vec<(usize, NodeId)> {
    let mut chain = Vec::new();
    let mut to = end;
    while to != start {
        let (index, from) = steps[&to];
        chain.push((index, to));
        to = from;
    }
    chain
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn nodes(ids: &[u64]) -> NodeSet {
        ids.iter().copied().map(NodeId).collect()
    }

    fn choice(candidates: &[u64], current: Option<u64>) -> Choice {
        Choice { candidates: nodes(candidates), current: current.map(NodeId), ..Choice::default() }
    }

    fn led(leaders: &[Option<NodeId>]) -> Vec<u64> {
        leaders.iter().map(|leader| leader.map_or(0, |node| node.0)).collect()
    }

    #[test]
    fn who_leads_goes_on_leading_if_that_is_even() {
        let choices =
            [choice(&[1, 2], Some(2)), choice(&[1, 2], Some(1)), choice(&[1, 2], Some(2))];
        assert_eq!(led(&spread_leaders(&choices)), [2, 1, 2]);
    }

    #[test]
    fn a_new_node_takes_its_part() {
        let choices = vec![choice(&[1, 2, 3], Some(1)); 6];
        let mut leaders = led(&spread_leaders(&choices));
        leaders.sort_unstable();
        assert_eq!(leaders, [1, 1, 2, 2, 3, 3]);
    }

    #[test]
    fn leaderships_move_along_a_chain() {
        let choices = [
            choice(&[1], Some(1)),
            choice(&[1, 2], Some(1)),
            choice(&[1], Some(1)),
            choice(&[2, 3], Some(2)),
        ];
        assert_eq!(led(&spread_leaders(&choices)), [1, 2, 1, 3]);
    }

    #[test]
    fn pinned_leaders_stay_and_the_others_are_spread_around_them() {
        let pinned = Choice { pinned: Some(NodeId(1)), ..choice(&[1, 2, 3], Some(2)) };
        let free = choice(&[1, 2, 3], None);
        let choices = [pinned.clone(), pinned.clone(), pinned, free.clone(), free];
        assert_eq!(led(&spread_leaders(&choices)), [1, 1, 1, 2, 3]);
    }

    #[test]
    fn the_meta_group_is_nobodys_share() {
        let meta = Choice { burden: Burden::of(META_GROUP), ..choice(&[1, 2, 3], Some(3)) };
        let shards = |leaders: [u64; 3]| leaders.map(|leader| choice(&[1, 2, 3], Some(leader)));
        let [one, two, three] = shards([1, 1, 2]);
        assert_eq!(next_transfer(&[meta.clone(), one, two, three]), Some((1, NodeId(3))));
        let [one, two, three] = shards([1, 2, 3]);
        assert_eq!(next_transfer(&[meta.clone(), one, two, three]), None);
        // But it is led by who may lead it.
        let leaving = Choice { candidates: nodes(&[1, 2]), ..meta };
        let [one, two, three] = shards([1, 2, 3]);
        assert_eq!(next_transfer(&[leaving, one, two, three]), Some((0, NodeId(1))));
    }

    #[test]
    fn who_can_not_lead_does_not() {
        let choices = [choice(&[], Some(1)), choice(&[2], Some(1))];
        assert_eq!(led(&spread_leaders(&choices)), [0, 2]);
        let gone = Choice { pinned: Some(NodeId(9)), ..choice(&[1, 2], Some(1)) };
        assert_eq!(led(&spread_leaders(&[gone])), [1]);
    }

    /// The least that the greatest number of leaderships can be, by trying everything.
    fn best_maximum(choices: &[Choice]) -> usize {
        fn go(choices: &[Choice], load: &mut BTreeMap<NodeId, usize>) -> usize {
            let Some((first, rest)) = choices.split_first() else {
                return load.values().copied().max().unwrap_or(0);
            };
            if first.candidates.is_empty() {
                return go(rest, load);
            }
            if first.burden == Burden::None {
                return go(rest, load);
            }
            let each = first.candidates.iter().map(|&node| {
                *load.entry(node).or_default() += 1;
                let most = go(rest, load);
                *load.entry(node).or_default() -= 1;
                most
            });
            each.min().unwrap_or(0)
        }
        go(choices, &mut BTreeMap::new())
    }

    fn any_choice() -> impl Strategy<Value = Choice> {
        let set = proptest::collection::btree_set((1..=4_u64).prop_map(NodeId), 0..=3);
        let burden = prop_oneof![4 => Just(Burden::Clients), 1 => Just(Burden::None)];
        (set, proptest::option::of((1..=4_u64).prop_map(NodeId)), burden).prop_map(
            |(candidates, current, burden)| Choice { candidates, pinned: None, current, burden },
        )
    }

    proptest! {
        #[test]
        fn no_assignment_is_more_even(choices in proptest::collection::vec(any_choice(), 0..7)) {
            let leaders = spread_leaders(&choices);
            let mut load = BTreeMap::<NodeId, usize>::new();
            for (leader, choice) in leaders.iter().zip(&choices) {
                prop_assert_eq!(leader.is_some(), !choice.candidates.is_empty());
                if let Some(node) = leader {
                    prop_assert!(choice.candidates.contains(node));
                    *load.entry(*node).or_default() += usize::from(choice.burden == Burden::Clients);
                }
            }
            let most = load.values().copied().max().unwrap_or(0);
            prop_assert_eq!(most, best_maximum(&choices));
        }

        #[test]
        fn what_was_spread_stays(choices in proptest::collection::vec(any_choice(), 0..20)) {
            let leaders = spread_leaders(&choices);
            let settled: Vec<_> = choices.into_iter().zip(&leaders)
                .map(|(choice, &current)| Choice { current, ..choice })
                .collect();
            prop_assert_eq!(spread_leaders(&settled), leaders);
        }

        #[test]
        fn handed_over_one_by_one_they_come_to_rest(
            choices in proptest::collection::vec(any_choice(), 0..7),
        ) {
            let mut choices: Vec<_> =
                choices.into_iter().filter(|choice| choice.current.is_some()).collect();
            let best = best_maximum(&choices);
            let mut steps = 0;
            while let Some((index, to)) = next_transfer(&choices) {
                prop_assert!(choices[index].candidates.contains(&to));
                prop_assert!(choices[index].current.replace(to) != Some(to));
                steps += 1;
                prop_assert!(steps <= 4 * choices.len());
            }
            let weighs = |choice: &&Choice| choice.burden == Burden::Clients;
            let able = choices.iter().filter(|choice| !choice.candidates.is_empty());
            let able = able.filter(weighs);
            let mut load = BTreeMap::<NodeId, usize>::new();
            able.for_each(|choice| *load.entry(choice.current.unwrap()).or_default() += 1);
            prop_assert_eq!(load.values().copied().max().unwrap_or(0), best);
        }
    }
}
