//! A script on its way: its lines, one by one, and what they get.

use std::collections::HashMap;
use std::time::Duration;

use aryavarth_script::{merged, show, steps, unescaped, words};

use crate::client::Client;
use crate::host::Host;

/// The connection that a script begins with.
const FIRST: &str = "";

struct Session {
    host: Host,
    clients: HashMap<String, Client>,
    current: String,
}

/// The script with the replies it gets now.
pub fn run(script: &str) -> String {
    let mut session =
        Session { host: Host::new(), clients: HashMap::new(), current: FIRST.to_owned() };
    let out = steps(script, &['>', '@', '!'], |line, expected| {
        let actual = session.perform(line);
        merged(expected, &actual.lines().collect::<Vec<_>>())
    });
    session.clients.clear();
    session.host.stop();
    out
}

impl Session {
    /// What a line that is no reply prints.
    fn perform(&mut self, line: &str) -> String {
        if let Some(name) = line.strip_prefix('@') {
            self.current = name.to_owned();
            return String::new();
        }
        if let Some(command) = line.strip_prefix("> ") {
            let words = words(command).unwrap_or_else(|| panic!("unbalanced quotes: {line}"));
            return show::reply(&self.client().call(&words));
        }
        let (directive, rest) = line.split_once(' ').unwrap_or((line, ""));
        match directive {
            "!config" => {
                let (name, value) = rest.split_once(' ').unwrap_or((rest, ""));
                self.host.set(name, value);
            }
            "!cluster" => {
                let shards = rest.parse().unwrap_or_else(|_| panic!("no number: {rest:?}"));
                self.host.cluster((shards > 0).then_some(shards));
            }
            "!restart" => {
                self.clients.clear();
                self.host.stop();
            }
            "!sleep" => std::thread::sleep(span(rest)),
            "!raw" => {
                let client = self.client();
                client.send(&unescaped(rest));
                let (bytes, closed) = client.raw();
                let end = if closed { "(closed)\n" } else { "" };
                return show::raw(&bytes) + end;
            }
            "!send" => self.client().send(&unescaped(rest)),
            "!read" => return show::reply(&self.client().reply()),
            "!close" => drop(self.clients.remove(&self.current)),
            _ => panic!("not a line of a script: {line:?}"),
        }
        String::new()
    }

    fn client(&mut self) -> &mut Client {
        let socket = self.host.socket();
        let client = self.clients.entry(self.current.clone());
        client.or_insert_with(|| Client::connect(&socket))
    }
}

fn span(text: &str) -> Duration {
    let millis = text.strip_suffix("ms").and_then(|number| number.parse().ok());
    Duration::from_millis(millis.unwrap_or_else(|| panic!("no span: {text:?}")))
}
