//! What a worker makes of events that come together.

use std::net::TcpStream;
use std::path::PathBuf;

use aryavarth::disk::sim::SimDisk;

use super::*;
use crate::cluster::Start;
use crate::config::{Config, Sources};
use crate::net::listener::Encryption;
use crate::server::{assemble, prepare_workers};
use crate::tls::{self, Tls};

#[test]
fn a_connection_that_comes_as_the_worker_is_told_to_end_is_not_accepted() {
    let mut config = Config::default();
    config.dir = PathBuf::from("/store");
    config.io_threads = 1;
    let tls = Tls::new(tls::load(&config).unwrap());
    let disk = Arc::new(SimDisk::new());
    let (server, _) = assemble(disk, config, &Sources::default(), tls, &Start::Resume).unwrap();
    let (poll, handle) = prepare_workers(&server, 1).unwrap().remove(0);
    let any = "127.0.0.1:0".parse().unwrap();
    let listener = Listener::tcp(any, 8, Encryption::None).unwrap();
    let address = listener.address().unwrap();
    let mut worker = Worker::new(0, server, poll, Arc::clone(&handle), vec![listener]).unwrap();

    handle.send(Message::Stop);
    let _client = TcpStream::connect(address).unwrap();
    let mut events = Events::with_capacity(16);
    worker.attend(&mut events, Duration::from_secs(10)).unwrap();
    assert_eq!(events.iter().count(), 2, "of the bell and of the listener");
    assert!(worker.stopping.is_some() && worker.connections.is_empty());
}
