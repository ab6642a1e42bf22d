//! Machines of a test's own: network namespaces, joined by a bridge in one more.
//!
//! ```text
//!  ┌ host 0 ────────────┐   ┌ outside ─────────────────────────────┐   ┌ host 1 ────────────┐
//!  │ node   eth0 10.77.0.1 ── port 0 ── bridge 10.77.0.254 ── port 1 ── eth0 10.77.0.2  node │
//!  └────────────────────┘   │          clients, the test           │   └────────────────────┘
//!                           └──────────────────────────────────────┘
//! ```
//!
//! The machine's own interfaces are not touched. A link is cut, in one direction, by a false hardware
//! address of the receiver: what is sent is lost without a word, as on a real network, where a
//! `blackhole` route would tell the sender at once.

use std::fs::File;
use std::io::Write;
use std::os::fd::AsFd;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::lines::Lines;
use crate::{Missing, skipped};

const PREFIX: &str = "aryavarth-test";

/// A namespace, by its name; or the one the test was started in.
#[derive(Clone)]
pub struct Namespace(String);

impl Namespace {
    /// Moves this thread, and what it starts, into it.
    pub fn enter(&self) {
        enter(&File::open(Path::new("/run/netns").join(&self.0)).unwrap());
    }

    /// Runs `ip` in it, with these commands.
    pub fn ip(&self, commands: &str) {
        ip(&["-n", &self.0], commands)
            .unwrap_or_else(|why| panic!("{}: {why}: {commands}", self.0));
    }
}

fn enter(namespace: &File) {
    move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
}

/// Runs `ip` with a batch of commands. The error is what it said.
fn ip(options: &[&str], commands: &str) -> Result<(), String> {
    let spawned = Command::new("ip")
        .args(options)
        .args(["-batch", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn();
    let mut child = spawned.map_err(|error| error.to_string())?;
    // It may have ended without reading.
    let _ = child.stdin.take().unwrap().write_all(commands.as_bytes());
    let output = child.wait_with_output().unwrap();
    let said = || String::from_utf8_lossy(&output.stderr).into_owned();
    if output.status.success() { Ok(()) } else { Err(said()) }
}

/// So many machines and what joins them. The thread that made it is outside of them while it lives.
pub struct Network {
    name: String,
    hosts: usize,
    home: File,
    /// What nodes say to one another goes through these, if there are any.
    pub lines: Option<Lines>,
}

impl Network {
    /// So many machines. `None`, which is told, if this process may not make them.
    pub fn new(hosts: usize) -> Option<Network> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        sweep();
        let number = NEXT.fetch_add(1, Ordering::SeqCst);
        let name = format!("{PREFIX}-{}-{number}", std::process::id());
        let home = File::open("/proc/thread-self/ns/net").ok()?;
        if ip(&[], &format!("netns add {name}\n")).is_err() {
            skipped(Missing::Namespaces);
            return None;
        }
        let network = Network { name, hosts, home, lines: None };
        network.build();
        network.outside().enter();
        Some(network)
    }

    /// The same, where whatever nodes say to one another goes through lines that can be disturbed.
    pub fn with_lines(hosts: usize) -> Option<Network> {
        let mut network = Network::new(hosts)?;
        network.lines = Some(Lines::lay(&network, hosts));
        Some(network)
    }

    fn build(&self) {
        let mut commands = String::from(
            "link set lo up\nlink add bridge type bridge\nlink set bridge up\n\
             addr add 10.77.0.254/24 dev bridge\n",
        );
        for host in 0..self.hosts {
            let name = &self.host(host).0;
            ip(&[], &format!("netns add {name}\n")).unwrap();
            commands.push_str(&format!(
                "link add port{host} type veth peer name eth0 netns {name}\n\
                 link set port{host} master bridge\nlink set port{host} up\n"
            ));
        }
        self.outside().ip(&commands);
        for host in 0..self.hosts {
            let address = self.address(host);
            self.host(host)
                .ip(&format!("link set lo up\nlink set eth0 up\naddr add {address}/24 dev eth0\n"));
        }
    }

    /// Where clients are, and whoever else is on no node's machine.
    pub fn outside(&self) -> Namespace {
        Namespace(self.name.clone())
    }

    /// A node's machine.
    pub fn host(&self, host: usize) -> Namespace {
        Namespace(format!("{}-{host}", self.name))
    }

    pub fn address(&self, host: usize) -> String {
        format!("10.77.0.{}", host + 1)
    }

    /// Runs something in a namespace; this thread is outside again afterwards.
    pub fn inside<T>(&self, namespace: &Namespace, work: impl FnOnce() -> T) -> T {
        namespace.enter();
        let result = work();
        self.outside().enter();
        result
    }

    /// What one sends to another is lost from now on.
    pub fn cut(&self, from: usize, to: usize) {
        self.host(from).ip(&format!(
            "neigh replace {} lladdr 02:00:00:00:00:00 dev eth0 nud permanent\n",
            self.address(to)
        ));
    }

    /// It arrives again.
    pub fn mend(&self, from: usize, to: usize) {
        self.host(from).ip(&format!("neigh del {} dev eth0\n", self.address(to)));
    }

    /// Cuts both directions between these pairs.
    pub fn part(&self, pairs: &[(usize, usize)]) {
        for (one, other) in pairs {
            self.cut(*one, *other);
            self.cut(*other, *one);
        }
    }

    /// Mends them.
    pub fn join(&self, pairs: &[(usize, usize)]) {
        for (one, other) in pairs {
            self.mend(*one, *other);
            self.mend(*other, *one);
        }
    }

    /// Takes a machine off the bridge, for clients too.
    pub fn unplug(&self, host: usize) {
        self.outside().ip(&format!("link set port{host} down\n"));
    }

    /// Puts it back.
    pub fn plug(&self, host: usize) {
        self.outside().ip(&format!("link set port{host} up\n"));
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        // Its threads are gone before the namespaces are.
        self.lines = None;
        enter(&self.home);
        for host in 0..self.hosts {
            let _ = ip(&[], &format!("netns del {}\n", self.host(host).0));
        }
        let _ = ip(&[], &format!("netns del {}\n", self.name));
    }
}

/// Removes what runs have left that were killed: namespaces, and the nodes in them.
fn sweep() {
    for entry in std::fs::read_dir("/run/netns").into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let owner = name.strip_prefix(PREFIX).and_then(|rest| rest.split('-').nth(1));
        let is_left = owner.is_some_and(|owner| !Path::new("/proc").join(owner).exists());
        if !is_left {
            continue;
        }
        let inside = Command::new("ip").args(["netns", "pids", &name]).output();
        let inside = inside.map(|output| output.stdout).unwrap_or_default();
        for pid in String::from_utf8_lossy(&inside).split_whitespace() {
            let _ = Command::new("kill").args(["-9", pid]).status();
        }
        let _ = ip(&[], &format!("netns del {name}\n"));
    }
}
