//! Lines between nodes that can be late, narrow, dead, broken or noisy: proxies of TCP.
//!
//! ```text
//!  node 0 ─dials node 1─▶ 10.77.0.2 on its own loopback ═ line 0→1 ═▶ outside ─▶ the real 10.77.0.2: node 1
//! ```
//!
//! On each machine the addresses of the others are its own, and a proxy listens there. Nodes know nothing
//! of it. A line carries what one node asks another and the answers.

use std::collections::BTreeMap;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::network::{Namespace, Network};
use crate::nodes::PEER_PORT;

/// How often a proxy looks whether something has changed.
const TICK: Duration = Duration::from_millis(10);

/// How a line is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Weather {
    Clear,
    /// Everything arrives so much later.
    Late(Duration),
    /// One of so many pieces is lost at first, and holds up what is behind it until it is sent again.
    Lossy(u64),
    /// So many bytes a second.
    Narrow(u64),
    /// Nothing arrives, and nobody is told. What was sent arrives when it is over.
    Dead,
    /// One of so many pieces ends the connection.
    Breaking(u64),
    /// In one of so many pieces a bit is wrong.
    Noisy(u64),
}

/// All lines of a network, by who dials whom.
pub struct Lines {
    lines: BTreeMap<(usize, usize), Arc<Line>>,
    stop: Arc<AtomicBool>,
    listeners: Vec<JoinHandle<()>>,
}

/// A line from one node to another.
struct Line {
    weather: Mutex<Weather>,
    /// Pieces that have passed: what happens to one depends on its number.
    pieces: AtomicU64,
    /// Bits that were turned.
    turned: AtomicU64,
}

impl Lines {
    /// Lays lines between all machines of a network.
    pub fn lay(network: &Network, hosts: usize) -> Lines {
        let mut lines =
            Lines { lines: BTreeMap::new(), stop: Arc::default(), listeners: Vec::new() };
        for from in 0..hosts {
            let others = (0..hosts).filter(|to| *to != from);
            let own: String = others
                .clone()
                .map(|to| format!("addr add {}/32 dev lo\n", network.address(to)))
                .collect();
            network.inside(&network.host(from), || {
                // The others' addresses are no reason to answer for them on the bridge.
                std::fs::write("/proc/sys/net/ipv4/conf/all/arp_ignore", "1").unwrap();
            });
            network.host(from).ip(&own);
            for to in others {
                let line = Arc::new(Line {
                    weather: Mutex::new(Weather::Clear),
                    pieces: AtomicU64::new(0),
                    turned: AtomicU64::new(0),
                });
                let address = format!("{}:{PEER_PORT}", network.address(to));
                let listener =
                    network.inside(&network.host(from), || TcpListener::bind(&address).unwrap());
                let (kept, stop, outside) =
                    (Arc::clone(&line), Arc::clone(&lines.stop), network.outside());
                let serve = move || accept(&listener, &address, &outside, &kept, &stop);
                lines.listeners.push(std::thread::spawn(serve));
                lines.lines.insert((from, to), line);
            }
        }
        lines
    }

    /// From now on the line on which one dials the other is so.
    pub fn set(&self, from: usize, to: usize, weather: Weather) {
        *self.lines[&(from, to)].weather.lock().unwrap() = weather;
    }

    /// All lines are so.
    pub fn set_all(&self, weather: Weather) {
        self.lines.values().for_each(|line| *line.weather.lock().unwrap() = weather);
    }

    /// How many bits were turned.
    pub fn turned(&self) -> u64 {
        self.lines.values().map(|line| line.turned.load(Ordering::SeqCst)).sum()
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        for listener in self.listeners.drain(..) {
            let _ = listener.join();
        }
    }
}

/// Takes connections on the one side, and makes each on the other.
fn accept(
    listener: &TcpListener,
    address: &str,
    outside: &Namespace,
    line: &Arc<Line>,
    stop: &Arc<AtomicBool>,
) {
    outside.enter();
    listener.set_nonblocking(true).unwrap();
    let address = address.parse().unwrap();
    while !stop.load(Ordering::SeqCst) {
        let near = match listener.accept() {
            Ok((near, _)) if line.weather() != Weather::Dead => near,
            // Whoever dials waits in the queue of the listener, or here, until it gives up.
            Ok((near, _)) => {
                line.wait(stop);
                near
            }
            Err(_) => {
                std::thread::sleep(TICK);
                continue;
            }
        };
        // If nobody is there, whoever dialled is told by a closed connection.
        if let Ok(far) = TcpStream::connect_timeout(&address, Duration::from_secs(1)) {
            near.set_nonblocking(false).unwrap();
            let pairs = [(near.try_clone(), far.try_clone()), (Ok(far), Ok(near))];
            for (from, to) in pairs {
                let (Ok(from), Ok(to)) = (from, to) else { continue };
                carry(from, to, line, stop);
            }
        }
    }
}

impl Line {
    fn weather(&self) -> Weather {
        *self.weather.lock().unwrap()
    }

    /// Waits until it is not dead any more.
    fn wait(&self, stop: &AtomicBool) {
        while self.weather() == Weather::Dead && !stop.load(Ordering::SeqCst) {
            std::thread::sleep(TICK);
        }
    }

    /// Whether a piece is the one of so many that something happens to.
    fn is_struck(&self, of: u64) -> bool {
        let number = self.pieces.fetch_add(1, Ordering::SeqCst);
        (number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40).is_multiple_of(of)
    }

    /// Turns a bit.
    fn damage(&self, piece: &mut [u8]) {
        let number = self.turned.fetch_add(1, Ordering::SeqCst);
        let bit = usize::try_from(number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 33).unwrap();
        piece[bit / 8 % piece.len()] ^= 1 << (bit % 8);
    }
}

/// Carries what one sends to the other: one thread reads, and one writes when it is due.
fn carry(from: TcpStream, to: TcpStream, line: &Arc<Line>, stop: &Arc<AtomicBool>) {
    let (pieces, due) = mpsc::sync_channel::<(Instant, Vec<u8>)>(64);
    let (reading, stopped) = (Arc::clone(line), Arc::clone(stop));
    std::thread::spawn(move || read(from, &pieces, &reading, &stopped));
    let (line, stop) = (Arc::clone(line), Arc::clone(stop));
    std::thread::spawn(move || write(to, &due, &line, &stop));
}

fn read(
    mut from: TcpStream,
    pieces: &mpsc::SyncSender<(Instant, Vec<u8>)>,
    line: &Line,
    stop: &AtomicBool,
) {
    from.set_read_timeout(Some(10 * TICK)).unwrap();
    let mut buffer = vec![0; 16 << 10];
    while !stop.load(Ordering::SeqCst) {
        let length = match from.read(&mut buffer) {
            Ok(0) => break,
            Ok(length) => length,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                continue;
            }
            Err(_) => break,
        };
        let mut piece = buffer[..length].to_vec();
        let delay = match line.weather() {
            Weather::Late(delay) => delay,
            // What TCP waits before it sends anew.
            Weather::Lossy(of) if line.is_struck(of) => Duration::from_millis(200),
            Weather::Breaking(of) if line.is_struck(of) => break,
            Weather::Noisy(of) if line.is_struck(of) => {
                line.damage(&mut piece);
                Duration::ZERO
            }
            _ => Duration::ZERO,
        };
        if pieces.send((Instant::now() + delay, piece)).is_err() {
            break;
        }
    }
    let _ = from.shutdown(Shutdown::Read);
}

fn write(
    mut to: TcpStream,
    due: &mpsc::Receiver<(Instant, Vec<u8>)>,
    line: &Line,
    stop: &AtomicBool,
) {
    while let Ok((at, piece)) = due.recv() {
        std::thread::sleep(at.saturating_duration_since(Instant::now()));
        line.wait(stop);
        if let Weather::Narrow(speed) = line.weather() {
            let length = u64::try_from(piece.len()).unwrap();
            std::thread::sleep(Duration::from_millis(1000 * length / speed));
        }
        if to.write_all(&piece).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Both);
}
