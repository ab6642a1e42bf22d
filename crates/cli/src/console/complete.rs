//! What a server knows of its commands, for completion, hints and help.

use std::collections::BTreeMap;

use redis::{Value, cmd};

use super::syntax::{self, Argument, Kind};
use crate::failure::Result;
use crate::remote::{Effect, Link};

/// What the prompt itself understands.
const OWN: [&str; 4] = ["clear", "exit", "help", "quit"];

/// A command, or a subcommand of one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Documentation {
    summary: String,
    since: String,
    group: String,
    arguments: Vec<Argument>,
    /// By name, in lower case.
    subcommands: BTreeMap<String, Documentation>,
}

/// The commands of a server, by name, in lower case.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Commands {
    commands: BTreeMap<String, Documentation>,
}

impl Commands {
    /// What the server says: COMMAND DOCS, or only the names where it has no such thing, or nothing
    /// where it does not tell.
    ///
    /// # Errors
    /// If the connection breaks, or the answer is too late.
    pub fn of(link: &mut Link) -> Result<Commands> {
        let ask = |link: &mut Link, name: &str| -> Result<Value> {
            link.send(&cmd("COMMAND").arg(name).get_packed_command())
                .map_err(|broken| link.lost(&broken, Effect::Reads))?;
            link.reply(Effect::Reads)
        };
        let documented = Commands::from_docs(&ask(link, "DOCS")?);
        if documented.commands.is_empty() {
            return Ok(Commands::from_names(&ask(link, "LIST")?));
        }
        Ok(documented)
    }

    /// Whether the server told nothing.
    pub fn is_empty(&self) -> bool {
        self.commands.is_empty()
    }

    fn from_docs(reply: &Value) -> Commands {
        let commands = pairs(reply);
        Commands {
            commands: commands.map(|(name, docs)| (name, Documentation::of(docs))).collect(),
        }
    }

    fn from_names(reply: &Value) -> Commands {
        let names = values(reply).iter().filter_map(text);
        let named = names.map(|name| (name.to_ascii_lowercase(), Documentation::default()));
        Commands { commands: named.collect() }
    }

    /// Where the word under the cursor begins, and what it may become; `line` ends at the cursor.
    pub fn complete(&self, line: &str) -> (usize, Vec<String>) {
        let start = line.rfind(char::is_whitespace).map_or(0, |space| space + 1);
        let (before, word) = line.split_at(start);
        let before: Vec<&str> = before.split_whitespace().collect();
        let names: Vec<&str> = match before[..] {
            [] => self.commands.keys().map(String::as_str).chain(OWN).collect(),
            [help] if is_help(help) => self.commands.keys().map(String::as_str).collect(),
            [.., command] if before.len() == 1 || (before.len() == 2 && is_help(before[0])) => {
                let documentation = self.commands.get(&command.to_ascii_lowercase());
                documentation.map_or_else(Vec::new, |documentation| {
                    documentation.subcommands.keys().map(String::as_str).collect()
                })
            }
            _ => Vec::new(),
        };
        // In the case in which the word was begun.
        let is_upper = !word.is_empty() && !word.contains(|c: char| c.is_ascii_lowercase());
        let begun = word.to_ascii_lowercase();
        let mut candidates: Vec<String> = names
            .into_iter()
            .filter(|name| name.starts_with(&begun))
            .map(|name| if is_upper { name.to_ascii_uppercase() } else { name.to_owned() })
            .collect();
        candidates.sort();
        candidates.dedup();
        (start, candidates)
    }

    /// What may follow on `line`, with a space before it if the line ends in none; none if there is
    /// nothing to say.
    pub fn hint(&self, line: &str) -> Option<String> {
        let words: Vec<&str> = line.split_whitespace().collect();
        let (documentation, used) = self.find(&words)?;
        let hint = documentation.hint(&words[used..]);
        if hint.is_empty() {
            return None;
        }
        Some(if line.ends_with(char::is_whitespace) { hint } else { format!(" {hint}") })
    }

    /// The help about `words`; none if there is no such command.
    pub fn help(&self, words: &[&str]) -> Option<String> {
        let (documentation, used) = self.find(words)?;
        let name = words[..used].join(" ").to_ascii_uppercase();
        let mut help = format!("\n  {name}");
        let syntax = documentation.syntax();
        if !syntax.is_empty() {
            help += &format!(" {syntax}");
        }
        let Documentation { summary, since, group, .. } = documentation;
        for (title, text) in [("summary", summary), ("since", since), ("group", group)] {
            if !text.is_empty() {
                help += &format!("\n  {title}: {text}");
            }
        }
        Some(help + "\n")
    }

    /// The command, or subcommand, that `words` begin with, and in how many of them.
    fn find(&self, words: &[&str]) -> Option<(&Documentation, usize)> {
        let command = self.commands.get(&words.first()?.to_ascii_lowercase())?;
        let subcommand =
            words.get(1).and_then(|word| command.subcommands.get(&word.to_ascii_lowercase()));
        Some(subcommand.map_or((command, 1), |subcommand| (subcommand, 2)))
    }
}

/// Whether the prompt takes the word for a call for help.
pub fn is_help(word: &str) -> bool {
    word == "?" || word.eq_ignore_ascii_case("help")
}

impl Documentation {
    fn of(reply: &Value) -> Documentation {
        let mut documentation = Documentation::default();
        for (field, value) in pairs(reply) {
            match field.as_str() {
                "summary" => documentation.summary = text(value).unwrap_or_default(),
                "since" => documentation.since = text(value).unwrap_or_default(),
                "group" => documentation.group = text(value).unwrap_or_default(),
                "arguments" => documentation.arguments = arguments(value),
                "subcommands" => {
                    documentation.subcommands = pairs(value)
                        .map(|(name, docs)| {
                            // Named with its command: config|get.
                            let name = name.rsplit('|').next().unwrap_or_default().to_owned();
                            (name, Documentation::of(docs))
                        })
                        .collect();
                }
                _ => {}
            }
        }
        documentation
    }

    fn syntax(&self) -> String {
        if self.subcommands.is_empty() {
            return syntax::text(&self.arguments);
        }
        let names: Vec<String> =
            self.subcommands.keys().map(|name| name.to_ascii_uppercase()).collect();
        names.join("|")
    }

    fn hint(&self, words: &[&str]) -> String {
        match (self.subcommands.is_empty(), words) {
            (true, words) => syntax::remaining(&self.arguments, words.iter().copied()),
            (false, []) => "subcommand [arg ...]".to_owned(),
            (false, _) => String::new(),
        }
    }
}

// --- the replies ---

/// The fields of a map, which RESP2 flattens.
fn pairs(value: &Value) -> Box<dyn Iterator<Item = (String, &Value)> + '_> {
    match value {
        Value::Map(pairs) => {
            Box::new(pairs.iter().filter_map(|(name, value)| Some((text(name)?, value))))
        }
        other => Box::new(values(other).chunks_exact(2).filter_map(|pair| {
            let [name, value] = pair else { return None };
            Some((text(name)?, value))
        })),
    }
}

fn values(value: &Value) -> &[Value] {
    match value {
        Value::Array(values) | Value::Set(values) => values,
        _ => &[],
    }
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::BulkString(bytes) => Some(String::from_utf8_lossy(bytes).into_owned()),
        Value::SimpleString(text) | Value::VerbatimString { text, .. } => Some(text.clone()),
        _ => None,
    }
}

fn arguments(value: &Value) -> Vec<Argument> {
    values(value).iter().map(argument).collect()
}

fn argument(value: &Value) -> Argument {
    let mut argument = Argument {
        name: String::new(),
        token: None,
        kind: Kind::Value,
        is_optional: false,
        is_multiple: false,
        repeats_token: false,
    };
    let (mut kind, mut parts) = (String::new(), Vec::new());
    for (field, value) in pairs(value) {
        match field.as_str() {
            // What a server would rather have shown stands after the name.
            "name" | "display_text" => argument.name = text(value).unwrap_or_default(),
            "token" => argument.token = text(value),
            "type" => kind = text(value).unwrap_or_default(),
            "arguments" => parts = arguments(value),
            "flags" => {
                let flags: Vec<String> = values(value).iter().filter_map(text).collect();
                let has = |name: &str| flags.iter().any(|flag| flag == name);
                argument.is_optional = has("optional");
                argument.is_multiple = has("multiple");
                argument.repeats_token = has("multiple_token");
            }
            _ => {}
        }
    }
    argument.kind = match kind.as_str() {
        "pure-token" => Kind::Token,
        "oneof" => Kind::OneOf(parts),
        "block" => Kind::Block(parts),
        _ => Kind::Value,
    };
    argument
}

#[cfg(test)]
mod tests {
    use super::*;

    fn string(text: &str) -> Value {
        Value::BulkString(text.as_bytes().to_vec())
    }

    fn list(values: impl IntoIterator<Item = Value>) -> Value {
        Value::Array(values.into_iter().collect())
    }

    fn named(name: &str) -> Value {
        list(["name", name, "type", "string"].map(string))
    }

    fn commands() -> Commands {
        let get = list([
            string("summary"),
            string("Get it"),
            string("group"),
            string("string"),
            string("arguments"),
            list([named("key")]),
        ]);
        let config_get = list([string("arguments"), list([named("parameter")])]);
        let config =
            list([string("subcommands"), list([string("config|get"), config_get.clone()])]);
        let docs = [string("get"), get, string("getdel"), list([]), string("config"), config];
        let commands = Commands::from_docs(&list(docs.clone()));
        let map = docs.chunks(2).map(|pair| (pair[0].clone(), pair[1].clone())).collect();
        assert_eq!(Commands::from_docs(&Value::Map(map)), commands);
        commands
    }

    #[test]
    fn names_are_completed_in_their_case() {
        let commands = commands();
        assert_eq!(commands.complete("ge"), (0, vec!["get".into(), "getdel".into()]));
        assert_eq!(commands.complete("GETD"), (0, vec!["GETDEL".into()]));
        assert_eq!(commands.complete("config g"), (7, vec!["get".into()]));
        assert_eq!(commands.complete("help conf"), (5, vec!["config".into()]));
        assert_eq!(commands.complete("help config G"), (12, vec!["GET".into()]));
        assert_eq!(commands.complete("get k"), (4, vec![]));
        assert_eq!(commands.complete("ex"), (0, vec!["exit".into()]));
    }

    #[test]
    fn arguments_are_hinted() {
        let commands = commands();
        assert_eq!(commands.hint("get").as_deref(), Some(" key"));
        assert_eq!(commands.hint("GET ").as_deref(), Some("key"));
        assert_eq!(commands.hint("get k"), None);
        assert_eq!(commands.hint("config ").as_deref(), Some("subcommand [arg ...]"));
        assert_eq!(commands.hint("config get ").as_deref(), Some("parameter"));
        assert_eq!(commands.hint("ge"), None);
        assert_eq!(commands.hint(""), None);
    }

    #[test]
    fn help_is_given() {
        let help = commands().help(&["get"]).unwrap();
        assert_eq!(help, "\n  GET key\n  summary: Get it\n  group: string\n");
        assert!(commands().help(&["config"]).unwrap().contains("CONFIG GET"));
        assert_eq!(commands().help(&["nothing"]), None);
    }

    #[test]
    fn names_alone_will_do() {
        let commands = Commands::from_names(&list([string("GET"), string("set")]));
        assert_eq!(commands.complete("g"), (0, vec!["get".into()]));
        assert_eq!(commands.hint("get "), None);
    }
}
