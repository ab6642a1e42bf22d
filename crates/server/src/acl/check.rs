//! Whether a user may run a request, and how the answer is put into words.

use std::fmt;

use super::log::Reason;
use super::selector::Selector;
use super::store::AclStore;
use super::user::{User, lossy};
use crate::command::flags::{Categories, Flags};
use crate::command::keys::Arguments;
use crate::command::table::{self, CommandSpec};

/// What of a request is not allowed.
///
/// They are ordered by weight: of several selectors that deny, the heaviest answer is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Denial {
    /// The command.
    Command,
    /// A key: the index of the argument.
    Key(usize),
    /// A channel: the index of the argument.
    Channel(usize),
}

impl Denial {
    /// The error reply, code included.
    pub fn message(self, user: &User, spec: &CommandSpec) -> String {
        match self {
            Denial::Command => format!(
                "NOPERM User {} has no permissions to run the '{}' command",
                lossy(user.name()),
                spec.full_name
            ),
            Denial::Key(_) => "NOPERM No permissions to access a key".to_owned(),
            Denial::Channel(_) => "NOPERM No permissions to access a channel".to_owned(),
        }
    }

    /// The reply of `ACL DRYRUN`: no code, and it names the key.
    pub fn verbose<A: Arguments + ?Sized>(
        self,
        user: &User,
        spec: &CommandSpec,
        arguments: &A,
    ) -> String {
        let (name, object) = (lossy(user.name()), lossy(self.object(spec, arguments)));
        match self {
            Denial::Command => {
                format!("User {name} has no permissions to run the '{object}' command")
            }
            Denial::Key(_) => {
                format!("User {name} has no permissions to access the '{object}' key")
            }
            Denial::Channel(_) => {
                format!("User {name} has no permissions to access the '{object}' channel")
            }
        }
    }

    /// What `ACL LOG` names as the object.
    pub fn object<'a, A: Arguments + ?Sized>(
        self,
        spec: &CommandSpec,
        arguments: &'a A,
    ) -> &'a [u8] {
        match self {
            Denial::Command => spec.full_name.as_bytes(),
            Denial::Key(index) | Denial::Channel(index) => arguments.argument(index),
        }
    }

    /// What `ACL LOG` names as the reason.
    pub fn reason(self) -> Reason {
        match self {
            Denial::Command => Reason::Command,
            Denial::Key(_) => Reason::Key,
            Denial::Channel(_) => Reason::Channel,
        }
    }
}

impl User {
    /// Whether the user may run a request. Of a container give the subcommand's row; `arguments`
    /// begin with the container's name all the same.
    #[inline]
    pub fn permits<A: Arguments + ?Sized>(
        &self,
        spec: &CommandSpec,
        arguments: &A,
    ) -> Result<(), Denial> {
        if self.is_unrestricted() {
            return Ok(());
        }
        self.examine(spec, arguments)
    }

    fn examine<A: Arguments + ?Sized>(
        &self,
        spec: &CommandSpec,
        arguments: &A,
    ) -> Result<(), Denial> {
        let mut heaviest = Denial::Command;
        for selector in self.all_selectors() {
            match selector.permits(spec, arguments) {
                Ok(()) => return Ok(()),
                Err(denial) => heaviest = heaviest.max(denial),
            }
        }
        Err(heaviest)
    }
}

impl Selector {
    fn permits<A: Arguments + ?Sized>(
        &self,
        spec: &CommandSpec,
        arguments: &A,
    ) -> Result<(), Denial> {
        let first = (arguments.count() > 1).then(|| arguments.argument(1));
        if !spec.flags.contains(Flags::NOAUTH) && !self.allows_command(spec, first) {
            return Err(Denial::Command);
        }
        if self.allows_all_keys() {
            return Ok(());
        }
        let mut keys = spec.keys(arguments);
        match keys.find(|key| !self.allows_key(arguments.argument(key.index), key.flags)) {
            Some(key) => Err(Denial::Key(key.index)),
            None => Ok(()),
        }
    }
}

/// Why `ACL DRYRUN` has no answer. The text follows `ERR ` in the reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DryRunError {
    /// There is no such user.
    User(String),
    /// There is no such command.
    Command(String),
    /// The command does not take so many arguments.
    Arity(&'static str),
}

impl fmt::Display for DryRunError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DryRunError::User(name) => write!(f, "User '{name}' not found"),
            DryRunError::Command(name) => write!(f, "Command '{name}' not found"),
            DryRunError::Arity(name) => {
                write!(f, "wrong number of arguments for '{name}' command")
            }
        }
    }
}

impl std::error::Error for DryRunError {}

/// `ACL DRYRUN`: none if the user may run `arguments` (a command and what follows, at least one),
/// else the text that says why not, which is no error reply.
pub fn dry_run<A: Arguments + ?Sized>(
    store: &AclStore,
    user: &[u8],
    arguments: &A,
) -> Result<Option<String>, DryRunError> {
    let user = store.get(user).ok_or_else(|| DryRunError::User(lossy(user)))?;
    let spec = table::resolve(arguments)
        .ok_or_else(|| DryRunError::Command(lossy(arguments.argument(0))))?;
    if !spec.accepts(arguments.count()) {
        return Err(DryRunError::Arity(spec.full_name));
    }
    let denial = user.permits(spec, arguments).err();
    Ok(denial.map(|denial| denial.verbose(&user, spec, arguments)))
}

/// `ACL CAT category`: the full names of the commands in it; none if there is no such category.
pub fn commands_in(category: &[u8]) -> Option<Vec<&'static str>> {
    let category = Categories::named(category)?;
    let all = table::all().filter(|spec| spec.categories.contains(category));
    Some(all.map(|spec| spec.full_name).collect())
}
