//! Why a value cannot be taken, told in two ways: to clients as Redis does, to the operator in full.

use std::borrow::Cow;

/// Why a value cannot be taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It is no whole number.
    NotInteger,
    /// It is no size.
    NotMemory,
    /// It is neither yes nor no.
    NotYesOrNo,
    /// It is none of these words.
    NotOneOf(&'static [&'static str]),
    /// It is less or more than allowed; both as they are written.
    OutOfBounds {
        /// The least that is allowed.
        least: String,
        /// The most that is allowed.
        most: String,
    },
    /// It has the wrong type in the file; this one.
    Type(&'static str),
    /// Something else, said in full.
    Other(Cow<'static, str>),
}

impl Refusal {
    /// A refusal of its own.
    pub fn other(what: impl Into<Cow<'static, str>>) -> Refusal {
        Refusal::Other(what.into())
    }

    /// The words of Redis 7.2, as they end the error of `CONFIG SET`.
    pub fn for_client(&self) -> String {
        match self {
            Refusal::NotInteger => "argument couldn't be parsed into an integer".to_owned(),
            Refusal::NotMemory => "argument must be a memory value".to_owned(),
            Refusal::NotYesOrNo => "argument must be 'yes' or 'no'".to_owned(),
            Refusal::NotOneOf(words) => {
                format!("argument(s) must be one of the following: {}", words.join(", "))
            }
            Refusal::OutOfBounds { least, most } => {
                format!("argument must be between {least} and {most} inclusive")
            }
            Refusal::Type(found) => format!("argument is {found}"),
            Refusal::Other(what) => what.clone().into_owned(),
        }
    }

    /// What is wrong, for who started the server; what is allowed is said beside it.
    pub fn for_operator(&self) -> String {
        match self {
            Refusal::NotInteger => "not a whole number".to_owned(),
            Refusal::NotMemory => "not a size".to_owned(),
            Refusal::NotYesOrNo => "neither yes nor no".to_owned(),
            Refusal::NotOneOf(_) => "not one of the words that can stand here".to_owned(),
            Refusal::OutOfBounds { .. } => "out of bounds".to_owned(),
            Refusal::Type(found) => format!("{found} cannot stand here"),
            Refusal::Other(what) => what.clone().into_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_are_told_what_redis_tells_them() {
        let bounds = Refusal::OutOfBounds { least: "1".to_owned(), most: "9".to_owned() };
        for (refusal, text) in [
            (Refusal::NotInteger, "argument couldn't be parsed into an integer"),
            (Refusal::NotMemory, "argument must be a memory value"),
            (Refusal::NotYesOrNo, "argument must be 'yes' or 'no'"),
            (Refusal::NotOneOf(&["a", "b"]), "argument(s) must be one of the following: a, b"),
            (bounds, "argument must be between 1 and 9 inclusive"),
        ] {
            assert_eq!(refusal.for_client(), text);
        }
    }
}
