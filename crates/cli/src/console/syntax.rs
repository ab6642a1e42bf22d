//! The arguments of a command as a server documents them, and what is still to be typed.
//!
//! ```text
//! SET key value [NX|XX] [GET] [EX seconds|PX milliseconds|KEEPTTL]
//! SET k v EX ▏seconds [NX|XX] [GET]
//! ```

/// What kind of argument it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A word that the user chooses.
    Value,
    /// Only its token.
    Token,
    /// One of these.
    OneOf(Vec<Argument>),
    /// All of these, in order.
    Block(Vec<Argument>),
}

/// An argument.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Argument {
    /// How the documentation calls it.
    pub name: String,
    /// The word before it.
    pub token: Option<String>,
    /// What it is.
    pub kind: Kind,
    /// Whether it may be left out.
    pub is_optional: bool,
    /// Whether it may be given again.
    pub is_multiple: bool,
    /// Whether its token is given again with it.
    pub repeats_token: bool,
}

impl Argument {
    /// It as documented, brackets and all.
    pub fn text(&self) -> String {
        let once = self.once();
        let text = match (self.is_multiple, &self.token) {
            (false, _) => once,
            (true, Some(token)) if !self.repeats_token && self.kind != Kind::Token => {
                let value = self.value();
                format!("{token} {value} [{value} ...]")
            }
            (true, _) => format!("{once} [{once} ...]"),
        };
        if self.is_optional { format!("[{text}]") } else { text }
    }

    fn once(&self) -> String {
        match (&self.token, &self.kind) {
            (Some(token), Kind::Token) => token.clone(),
            (Some(token), _) => format!("{token} {}", self.value()),
            (None, _) => self.value(),
        }
    }

    fn value(&self) -> String {
        match &self.kind {
            Kind::Value | Kind::Token => self.name.clone(),
            Kind::Block(parts) => joined(parts, " "),
            Kind::OneOf(choices) => joined(choices, "|"),
        }
    }

    /// The arguments that follow `word` if it is a token of this one.
    fn after_token(&self, word: &str) -> Option<Vec<Argument>> {
        if self.token.as_ref().is_some_and(|token| token.eq_ignore_ascii_case(word)) {
            return Some(match &self.kind {
                Kind::Token => Vec::new(),
                _ => vec![self.plain()],
            });
        }
        match (&self.token, &self.kind) {
            (None, Kind::OneOf(choices)) => {
                choices.iter().find_map(|choice| choice.after_token(word))
            }
            (None, Kind::Block(parts)) => {
                let (first, rest) = parts.split_first()?;
                let mut after = first.after_token(word)?;
                after.extend_from_slice(rest);
                Some(after)
            }
            _ => None,
        }
    }

    /// Its value, of which one must be given.
    fn plain(&self) -> Argument {
        Argument { token: None, is_optional: false, ..self.clone() }
    }

    /// Whether it begins with a word that the user chooses.
    fn takes_any_word(&self) -> bool {
        match (&self.token, &self.kind) {
            (Some(_), _) | (None, Kind::Token) => false,
            (None, Kind::Value) => true,
            (None, Kind::OneOf(choices)) => choices.iter().any(Argument::takes_any_word),
            (None, Kind::Block(parts)) => parts.first().is_some_and(Argument::takes_any_word),
        }
    }

    /// What is left of it after such a word.
    fn after_any_word(&self) -> Vec<Argument> {
        let mut left = match &self.kind {
            Kind::Block(parts) => match parts.split_first() {
                Some((first, rest)) => {
                    let mut left = first.after_any_word();
                    left.extend_from_slice(rest);
                    left
                }
                None => Vec::new(),
            },
            _ => Vec::new(),
        };
        if self.is_multiple {
            left.push(Argument { is_optional: true, ..self.clone() });
        }
        left
    }
}

fn joined(arguments: &[Argument], separator: &str) -> String {
    arguments.iter().map(Argument::text).collect::<Vec<_>>().join(separator)
}

/// All arguments, as documented.
pub fn text(arguments: &[Argument]) -> String {
    joined(arguments, " ")
}

/// What may follow `words`, which are arguments typed already.
pub fn remaining<'a>(arguments: &[Argument], words: impl Iterator<Item = &'a str>) -> String {
    let mut left = arguments.to_vec();
    for word in words {
        let token = left
            .iter()
            .enumerate()
            .find_map(|(index, argument)| argument.after_token(word).map(|after| (index, after)));
        // Options may come in any order, but only once what must come first has.
        let must =
            left.iter().position(|argument| !argument.is_optional && argument.token.is_none());
        let any = left.iter().position(Argument::takes_any_word);
        match (token, any) {
            (Some((index, after)), _) if must.is_none_or(|must| index <= must) => {
                let again = left[index].clone();
                left.remove(index);
                if again.is_multiple && again.repeats_token {
                    left.insert(index, Argument { is_optional: true, ..again });
                }
                // The value of a token comes before all else.
                left.splice(0..0, after);
            }
            (_, Some(index)) => {
                let after = left[index].after_any_word();
                left.splice(index..=index, after);
                // What comes before it in the documentation was left out.
                left.drain(..index);
            }
            _ => return String::new(),
        }
    }
    left.iter().map(again).collect::<Vec<_>>().join(" ")
}

/// An argument, without its first occurrence if it has been given: `[key ...]`.
fn again(argument: &Argument) -> String {
    if argument.is_multiple && argument.is_optional && argument.token.is_none() {
        return format!("[{} ...]", argument.once());
    }
    argument.text()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(name: &str) -> Argument {
        Argument {
            name: name.to_owned(),
            token: None,
            kind: Kind::Value,
            is_optional: false,
            is_multiple: false,
            repeats_token: false,
        }
    }

    fn token(name: &str) -> Argument {
        Argument { token: Some(name.to_owned()), kind: Kind::Token, ..value(name) }
    }

    fn with(token: &str, name: &str) -> Argument {
        Argument { token: Some(token.to_owned()), ..value(name) }
    }

    fn optional(argument: Argument) -> Argument {
        Argument { is_optional: true, ..argument }
    }

    fn set() -> Vec<Argument> {
        let condition = Kind::OneOf(vec![token("NX"), token("XX")]);
        let expiry = Kind::OneOf(vec![with("EX", "seconds"), token("KEEPTTL")]);
        vec![
            value("key"),
            value("value"),
            optional(Argument { kind: condition, ..value("condition") }),
            optional(token("GET")),
            optional(Argument { kind: expiry, ..value("expiration") }),
        ]
    }

    fn hint(arguments: &[Argument], line: &str) -> String {
        remaining(arguments, line.split_whitespace())
    }

    #[test]
    fn the_syntax_is_as_documented() {
        assert_eq!(text(&set()), "key value [NX|XX] [GET] [EX seconds|KEEPTTL]");
        let many = Argument { is_multiple: true, ..value("key") };
        assert_eq!(many.text(), "key [key ...]");
        let pair = Kind::Block(vec![value("key"), value("value")]);
        let pairs = Argument { kind: pair, is_multiple: true, ..value("data") };
        assert_eq!(pairs.text(), "key value [key value ...]");
        let get = Argument { is_multiple: true, repeats_token: true, ..with("GET", "pattern") };
        assert_eq!(optional(get.clone()).text(), "[GET pattern [GET pattern ...]]");
        let keys = Argument { repeats_token: false, ..get };
        assert_eq!(keys.text(), "GET pattern [pattern ...]");
    }

    #[test]
    fn what_is_typed_is_not_hinted_again() {
        let set = set();
        assert_eq!(hint(&set, "k"), "value [NX|XX] [GET] [EX seconds|KEEPTTL]");
        assert_eq!(hint(&set, "k v"), "[NX|XX] [GET] [EX seconds|KEEPTTL]");
        assert_eq!(hint(&set, "k v nx"), "[GET] [EX seconds|KEEPTTL]");
        assert_eq!(hint(&set, "k v ex"), "seconds [NX|XX] [GET]");
        assert_eq!(hint(&set, "k v EX 10 GET"), "[NX|XX]");
        assert_eq!(hint(&set, "k nx"), "[NX|XX] [GET] [EX seconds|KEEPTTL]");
        assert_eq!(hint(&set, "k v what"), "");
    }

    #[test]
    fn what_may_be_given_again_is_hinted_so() {
        let many = [Argument { is_multiple: true, ..value("key") }];
        assert_eq!(hint(&many, ""), "key [key ...]");
        assert_eq!(hint(&many, "a"), "[key ...]");
        assert_eq!(hint(&many, "a b"), "[key ...]");
        let pair = Kind::Block(vec![value("key"), value("value")]);
        let pairs = [Argument { kind: pair, is_multiple: true, ..value("data") }];
        assert_eq!(hint(&pairs, "a"), "value [key value ...]");
        assert_eq!(hint(&pairs, "a 1"), "[key value ...]");
        assert_eq!(hint(&pairs, "a 1 b"), "value [key value ...]");
    }
}
