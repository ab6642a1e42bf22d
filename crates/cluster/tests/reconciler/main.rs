//! The reconciler against a model of a cluster that does what it is told, or not, while nodes join,
//! drain, pause and die for good.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod world;

use aryavarth_cluster::{Change, NodeId, NodeState, ReplicationFactor, ShardId, Step};
use proptest::prelude::*;

use world::{Fate, World};

/// What happens to a cluster.
#[derive(Clone, Debug)]
enum Event {
    Join(u8),
    Drain(u8),
    Undrain(u8),
    Die(u8),
    Pause(u8),
    Resume(u8),
    Elect(u8, u8),
    Factor(u8),
    Pin(u8, u8),
    /// So many steps of the reconciler; whether each is carried out.
    Steps(Vec<Fate>),
    /// Time passes: copies arrive, memberships are committed.
    Tick,
}

fn any_event() -> impl Strategy<Value = Event> {
    let fate = prop_oneof![
        6 => Just(Fate::Done),
        1 => Just(Fate::Lost),
        1 => Just(Fate::DoneTwice),
    ];
    prop_oneof![
        2 => (0..4_u8).prop_map(Event::Join),
        1 => any::<u8>().prop_map(Event::Drain),
        1 => any::<u8>().prop_map(Event::Undrain),
        1 => any::<u8>().prop_map(Event::Die),
        1 => any::<u8>().prop_map(Event::Pause),
        1 => any::<u8>().prop_map(Event::Resume),
        1 => any::<(u8, u8)>().prop_map(|(group, node)| Event::Elect(group, node)),
        1 => prop_oneof![Just(1), Just(3), Just(3), Just(5)].prop_map(Event::Factor),
        1 => any::<(u8, u8)>().prop_map(|(group, node)| Event::Pin(group, node)),
        6 => proptest::collection::vec(fate, 1..12).prop_map(Event::Steps),
        4 => Just(Event::Tick),
    ]
}

fn happen(world: &mut World, event: &Event) {
    match event {
        Event::Join(zone) => world.join(*zone),
        Event::Drain(which) => world.put(*which, NodeState::Draining),
        Event::Undrain(which) => world.put(*which, NodeState::Active),
        Event::Die(which) => world.die(*which),
        Event::Pause(which) => world.pause(*which),
        Event::Resume(which) => world.resume(*which),
        Event::Elect(group, node) => world.elect(*group, *node),
        Event::Factor(factor) => {
            world.log(&Change::SetReplicationFactor(ReplicationFactor::new(*factor).unwrap()))
        }
        Event::Pin(group, node) => world.pin(*group, *node),
        Event::Steps(fates) => fates.iter().for_each(|fate| {
            world.step(*fate);
        }),
        Event::Tick => world.tick(),
    }
}

/// The world after these events, once all is quiet: as it is wanted.
fn lives_through(mut world: World, events: &[Event]) -> World {
    events.iter().for_each(|event| happen(&mut world, event));
    world.resume_all();
    world.settle();
    world.assert_as_wanted();
    world
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    /// Wherever it is cut off and whatever happens meanwhile: every step keeps the rules (the world
    /// checks each), and when all is quiet the cluster comes to what is wanted.
    #[test]
    fn any_cluster_comes_to_what_is_wanted(
        shards in 1..7_u16,
        factor in prop_oneof![Just(1), Just(3), Just(5)],
        events in proptest::collection::vec(any_event(), 0..60),
    ) {
        lives_through(World::new(shards, factor), &events);
    }

    /// The same of a cluster that grows.
    #[test]
    fn any_cluster_that_grows_comes_to_what_is_wanted(
        most in 1..9_u16,
        factor in prop_oneof![Just(1), Just(3), Just(5)],
        events in proptest::collection::vec(any_event(), 0..60),
    ) {
        lives_through(World::growing(most, factor), &events).assert_grown();
    }

    /// Undisturbed, hardly more is copied than placement says, and a move takes two entries of the log.
    #[test]
    fn no_step_is_wasted(
        shards in 1..17_u16,
        factor in prop_oneof![Just(1), Just(3), Just(5)],
        start in 1..7_usize,
        joining in 0..4_usize,
        draining in 0..3_u8,
        dying in 0..2_u8,
    ) {
        let mut world = World::new(shards, factor);
        (1..start).for_each(|_| world.join(9));
        world.settle();
        (0..joining).for_each(|_| world.join(9));
        (0..draining).for_each(|which| world.put(which, NodeState::Draining));
        (0..dying).for_each(|which| world.die(which + draining));
        world.greet();
        let copies = world.copies_wanted();
        let groups = world.groups_to_change();
        let steps = world.settle();
        world.assert_as_wanted();
        let count = |is: fn(&Step) -> bool| steps.iter().filter(|step| is(step)).count();
        let moves = count(|step| matches!(step, Step::Log(Change::BeginMove { .. })));
        // A few more now and then: what is wanted is found anew as moves finish.
        let copied = count(|step| matches!(step, Step::AddLearner { .. }));
        prop_assert!(copied <= copies + 1 + copies / 4, "{copied} copies for {copies}");
        prop_assert!(moves <= copied + groups, "{moves} moves for {copied} copies");
        prop_assert_eq!(count(|step| matches!(step, Step::Log(Change::FinishMove { .. }))), moves);
        prop_assert_eq!(count(|step| matches!(step, Step::RemoveLearner { .. })), 0);
        prop_assert_eq!(count(|step| matches!(step, Step::Log(Change::AbortMove { .. }))), 0);
        // One change of membership for a move, two where the only voter is replaced.
        let changes = count(|step| matches!(step, Step::ChangeVoters { .. }));
        prop_assert!(changes <= 2 * moves, "{changes} changes of voters for {moves} moves");
        // Each leader hands over when it leaves, and once or twice for the balance.
        let transfers = count(|step| matches!(step, Step::TransferLeader { .. }));
        let bound = moves + 2 * (usize::from(shards) + 1);
        prop_assert!(transfers <= bound, "{transfers} transfers");
    }
}

#[test]
fn a_cluster_of_one_grows_to_nine_by_joining_alone() {
    let mut world = World::new(16, 3);
    for nodes in 2..=9 {
        world.join(9);
        world.settle();
        world.assert_as_wanted();
        assert_eq!(world.topology().nodes().len(), nodes);
        assert!(world.leaders_spread() <= 1 || nodes == 2);
    }
}

#[test]
fn three_nodes_are_replaced_one_by_one() {
    let mut world = World::new(8, 3);
    (0..5).for_each(|_| world.join(9));
    world.settle();
    for node in 1..=3 {
        world.log(&Change::SetNodeState { node: NodeId(node), state: NodeState::Draining });
        world.settle();
        world.assert_as_wanted();
        assert!(world.topology().node(NodeId(node)).is_none(), "it was emptied and removed");
    }
}

#[test]
fn a_dead_node_is_replaced_by_a_spare_one() {
    let mut world = World::new(8, 3);
    (0..3).for_each(|_| world.join(9));
    world.settle();
    world.die(1);
    world.settle();
    world.assert_as_wanted();
    assert!(world.topology().node(NodeId(2)).is_none());
    assert!(world.topology().groups().all(|(_, group)| group.voters.len() == 3));
}

#[test]
fn a_pinned_leader_leads() {
    let mut world = World::new(4, 3);
    (0..2).for_each(|_| world.join(9));
    world.settle();
    for shard in 1..=4 {
        let leader = Some(NodeId(3));
        world.log(&Change::SetWantedLeader { shard: ShardId(shard), leader });
    }
    world.settle();
    assert!((1..=4).all(|shard| world.leader(ShardId(shard)) == Some(NodeId(3))));
}
