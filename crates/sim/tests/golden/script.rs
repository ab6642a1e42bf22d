//! A script on its way: its lines, one by one, and what they get.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use aryavarth::disk::sim::CrashPlan;
use aryavarth_cluster::{ReplicationFactor, ShardCount, Sharding};
use aryavarth_script::{Reply, merged, request, show, steps, take, words};
use aryavarth_server::cluster::Wish;
use aryavarth_server::config::Routing;
use aryavarth_server::simulation::ClientEnd;
use aryavarth_sim::simulation::{MachineId, Nothing, Plan, Stage};

/// How often what is asked again and again is asked at most, and how long it waits in between.
const TRIES: u32 = 200;
const BETWEEN: Duration = Duration::from_millis(100);

struct Session {
    plan: Plan,
    stage: Option<Stage>,
    connections: BTreeMap<String, Connection>,
    /// The name of the connection in use: its machine, and what else it is called.
    current: String,
}

struct Connection {
    end: ClientEnd,
    received: Vec<u8>,
}

/// The script with what its lines get now.
pub fn run(script: &str) -> String {
    let plan = Plan {
        sharding: Sharding::Fixed(ShardCount::new(3).unwrap()),
        factor: ReplicationFactor::Three,
        routing: Routing::Redirect,
    };
    let mut session =
        Session { plan, stage: None, connections: BTreeMap::new(), current: "1".to_owned() };
    steps(script, &['>', '@', '!', '~'], |line, expected| {
        let got = session.follow(line, expected);
        let violation = session.stage.as_ref().and_then(Stage::violation);
        assert_eq!(violation, None, "after {line:?}");
        got
    })
}

impl Session {
    /// What a line that is no reply gets.
    fn follow(&mut self, line: &str, expected: &[&str]) -> Vec<String> {
        let (line, tries) = match line.strip_prefix('~') {
            Some(line) => (line, TRIES),
            None => (line, 1),
        };
        let mut got = Vec::new();
        for attempt in 0..tries {
            if attempt > 0 {
                self.stage().wait(BETWEEN);
            }
            let actual = self.perform(line);
            got = merged(expected, &actual.lines().collect::<Vec<_>>());
            if got == expected {
                break;
            }
        }
        got
    }

    fn perform(&mut self, line: &str) -> String {
        if let Some(name) = line.strip_prefix('@') {
            self.current = name.to_owned();
            return String::new();
        }
        if let Some(command) = line.strip_prefix("> ") {
            let words = words(command).unwrap_or_else(|| panic!("unbalanced quotes: {line}"));
            return show::reply(&self.call(&words));
        }
        let (directive, rest) = line.split_once(' ').unwrap_or((line, ""));
        match directive {
            "!shards" => {
                self.plan.sharding = Sharding::Fixed(ShardCount::new(number(rest)).unwrap())
            }
            "!growing" => {
                self.plan.sharding = Sharding::Growing(ShardCount::new(number(rest)).unwrap());
            }
            "!factor" => self.plan.factor = ReplicationFactor::new(number(rest)).unwrap(),
            "!routing" if rest == "forward" => self.plan.routing = Routing::Forward,
            "!start" => return self.start(machines(rest)),
            "!wish" => return self.wish(rest),
            "!ended" => {
                let why = self.stage().ended(MachineId(number(rest)));
                return why.map_or_else(|| "no\n".to_owned(), |why| format!("{why}\n"));
            }
            "!table" => return self.stage().table(),
            "!crash" => self.end(rest, CrashPlan::LoseUnsynced),
            "!kill" => self.end(rest, CrashPlan::KillProcess),
            "!pause" => self.stage().pause(MachineId(number(rest))),
            "!resume" => self.stage().resume(MachineId(number(rest))),
            "!cut" => self.stage().cut(&rest.split('|').map(machines).collect::<Vec<_>>()),
            "!mend" => self.stage().cut(&[]),
            "!sleep" => {
                let millis = rest.strip_suffix("ms").unwrap_or_else(|| panic!("no span: {rest}"));
                self.stage().wait(Duration::from_millis(number(millis)));
            }
            _ => panic!("not a line of a script: {line:?}"),
        }
        String::new()
    }

    fn stage(&mut self) -> &mut Stage {
        self.stage.get_or_insert_with(|| Stage::new(self.plan))
    }

    /// Starts nodes; tells what keeps them from it.
    fn start(&mut self, machines: BTreeSet<MachineId>) -> String {
        let outcomes = machines.into_iter().map(|machine| self.stage().start(machine));
        let wrong = outcomes.filter_map(Result::err).map(|why| format!("{why}\n"));
        wrong.collect()
    }

    /// Asks the node in use for what an operator wants.
    fn wish(&mut self, wish: &str) -> String {
        let of = self.machine();
        match self.stage().wish(of, read_wish(wish)) {
            Ok(()) => "OK\n".to_owned(),
            Err(refusal) => format!("(refused) {refusal}\n"),
        }
    }

    fn machine(&self) -> MachineId {
        MachineId(number(self.current.split_whitespace().next().unwrap_or_default()))
    }

    fn end(&mut self, machine: &str, plan: CrashPlan) {
        self.stage().crash(MachineId(number(machine)), plan);
    }

    /// Sends a request on the connection in use, which is made if there is none, and waits for the reply.
    fn call(&mut self, words: &[Vec<u8>]) -> Reply {
        let machine = self.machine();
        let stage = self.stage.get_or_insert_with(|| Stage::new(self.plan));
        if self.connections.get(&self.current).is_some_and(|one| one.end.is_closed()) {
            self.connections.remove(&self.current);
        }
        if !self.connections.contains_key(&self.current) {
            let Some(end) = stage.connect(machine) else { return Reply::Closed };
            let connection = Connection { end, received: Vec::new() };
            self.connections.insert(self.current.clone(), connection);
        }
        let connection = self.connections.get_mut(&self.current).unwrap();
        connection.end.send(&request(words));
        loop {
            if let Some(reply) = take(&mut connection.received) {
                return reply;
            }
            match stage.receive(&connection.end) {
                Ok(bytes) => connection.received.extend(bytes),
                Err(nothing) => {
                    // What comes later is of no use: it would be taken for another answer.
                    self.connections.remove(&self.current);
                    return match nothing {
                        Nothing::Closed => Reply::Closed,
                        Nothing::Silence => Reply::Silence,
                    };
                }
            }
        }
    }
}

fn number<T: std::str::FromStr>(text: &str) -> T {
    text.trim().parse().unwrap_or_else(|_| panic!("no number: {text:?}"))
}

fn read_wish(text: &str) -> Wish {
    match text.split_whitespace().collect::<Vec<_>>()[..] {
        ["drain", node] => Wish::Drain(number(node)),
        ["undrain", node] => Wish::Undrain(number(node)),
        ["remove", node] => Wish::Remove(number(node)),
        ["remove", node, "lost"] => Wish::RemoveLost(number(node)),
        ["transfer", "all", to] => Wish::Transfer { shard: None, to: number(to) },
        ["transfer", shard, to] => Wish::Transfer { shard: Some(number(shard)), to: number(to) },
        ["replication-factor", factor] => Wish::ReplicationFactor(number(factor)),
        _ => panic!("not a wish: {text:?}"),
    }
}

fn machines(text: &str) -> BTreeSet<MachineId> {
    text.split_whitespace().map(|machine| MachineId(number(machine))).collect()
}
