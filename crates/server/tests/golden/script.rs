//! A script on its way: its lines, one by one, and what they get.

use std::collections::HashMap;
use std::time::Duration;

use crate::client::Client;
use crate::host::Host;
use crate::{pattern, show};

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
    let mut out = String::new();
    let mut lines = script.lines().peekable();
    while let Some(line) = lines.next() {
        out += &format!("{line}\n");
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let mut expected = Vec::new();
        while let Some(reply) = lines.next_if(|line| is_reply(line)) {
            expected.push(reply);
        }
        let actual = session.perform(line);
        let actual = actual.lines().collect::<Vec<_>>();
        for line in pattern::merged(&expected, &actual) {
            out += &format!("{line}\n");
        }
    }
    session.clients.clear();
    session.host.stop();
    out
}

fn is_reply(line: &str) -> bool {
    !line.is_empty() && !line.starts_with(['>', '#', '@', '!'])
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

fn unescaped(text: &str) -> Vec<u8> {
    let quoted = format!("\"{}\"", text.replace('"', "\\\""));
    words(&quoted).unwrap_or_else(|| panic!("no bytes: {text:?}")).swap_remove(0)
}

/// The words of a line, with the quotes and escapes of `redis-cli`; none if a quote is open.
fn words(line: &str) -> Option<Vec<Vec<u8>>> {
    let mut words = Vec::new();
    let mut rest = line.as_bytes();
    loop {
        rest = rest.trim_ascii_start();
        let (word, behind) = match rest {
            [] => return Some(words),
            [b'"', behind @ ..] => double_quoted(behind)?,
            [b'\'', behind @ ..] => {
                let end = behind.iter().position(|byte| *byte == b'\'')?;
                (behind[..end].to_vec(), &behind[end + 1..])
            }
            _ => {
                let end = rest.iter().position(u8::is_ascii_whitespace).unwrap_or(rest.len());
                (rest[..end].to_vec(), &rest[end..])
            }
        };
        words.push(word);
        rest = behind;
    }
}

fn double_quoted(text: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let mut word = Vec::new();
    let mut rest = text;
    loop {
        rest = match rest {
            [] => return None,
            [b'"', behind @ ..] => return Some((word, behind)),
            [b'\\', b'x', high, low, behind @ ..]
                if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() =>
            {
                let digits = [*high, *low];
                let digits = str::from_utf8(&digits).expect("hexadecimal digits");
                word.push(u8::from_str_radix(digits, 16).expect("hexadecimal digits"));
                behind
            }
            [b'\\', escape, behind @ ..] => {
                word.push(match escape {
                    b'n' => b'\n',
                    b'r' => b'\r',
                    b't' => b'\t',
                    b'b' => 0x08,
                    b'a' => 0x07,
                    other => *other,
                });
                behind
            }
            [byte, behind @ ..] => {
                word.push(*byte);
                behind
            }
        };
    }
}
