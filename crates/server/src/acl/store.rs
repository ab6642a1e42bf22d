//! The users, shared between threads, and how a connection keeps up with their changes.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, RwLock};

use super::error::SetUserError;
use super::log::AclLog;
use super::password::PasswordDigest;
use super::selector::has_spaces;
use super::user::{User, UserId};

const DEFAULT: &[u8] = b"default";

/// The users by name; there is always one named `default`.
#[derive(Clone, Debug)]
pub struct UserSet {
    by_name: BTreeMap<Box<[u8]>, Arc<User>>,
}

impl UserSet {
    /// None at all; for those who read users from a file.
    pub(super) fn empty() -> UserSet {
        UserSet { by_name: BTreeMap::new() }
    }

    pub(super) fn contains(&self, name: &[u8]) -> bool {
        self.by_name.contains_key(name)
    }

    /// Gives `default` one password, whether it is among them or yet to come.
    pub(super) fn protect_default(&mut self, password: &[u8]) {
        let known = self.by_name.get(DEFAULT).map(|user| User::clone(user));
        let mut user = known.unwrap_or_else(default_user);
        let rules = [b"resetpass".to_vec(), [b">", password].concat()];
        user.apply_all(&rules).expect("the rules are well formed");
        self.insert(user);
    }

    pub(super) fn insert(&mut self, user: User) {
        self.by_name.insert(user.name().into(), Arc::new(user));
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.by_name.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }
}

/// All users, what was denied to them, and the generation of their rules.
#[derive(Debug)]
pub struct AclStore {
    users: RwLock<UserSet>,
    /// Grows after every change of the users.
    generation: AtomicU64,
    next_id: AtomicU64,
    log: Mutex<AclLog>,
    /// What a password is compared with if there is no such user.
    nobody: User,
}

/// The pair of name and password is not that of a user who may log in. The text is the whole reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WrongPassword;

impl fmt::Display for WrongPassword {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WRONGPASS invalid username-password pair or user is disabled.")
    }
}

impl std::error::Error for WrongPassword {}

/// `default` cannot be deleted. The text follows `ERR ` in the reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeleteDefaultError;

impl fmt::Display for DeleteDefaultError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("The 'default' user cannot be removed")
    }
}

impl std::error::Error for DeleteDefaultError {}

impl AclStore {
    /// One with the user `default`, who may do everything and needs no password.
    pub fn new() -> AclStore {
        let mut users = UserSet::empty();
        users.insert(default_user());
        AclStore {
            users: RwLock::new(users),
            generation: AtomicU64::new(0),
            next_id: AtomicU64::new(1),
            log: Mutex::new(AclLog::default()),
            nobody: User::new(UserId(0), b""),
        }
    }

    /// A number that grows with every change of any user.
    #[inline]
    pub fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// The user of that name.
    pub fn get(&self, name: &[u8]) -> Option<Arc<User>> {
        self.read(|users| users.by_name.get(name).cloned())
    }

    /// The names of the users, in order: `ACL USERS`.
    pub fn names(&self) -> Vec<Box<[u8]>> {
        self.read(|users| users.by_name.keys().cloned().collect())
    }

    /// The users, in the order of their names.
    pub fn all(&self) -> Vec<Arc<User>> {
        self.read(|users| users.by_name.values().cloned().collect())
    }

    /// A line for each user, in the order of their names: `ACL LIST`.
    pub fn lines(&self) -> Vec<Vec<u8>> {
        self.all().iter().map(|user| user.line()).collect()
    }

    /// `ACL SETUSER`: takes all rules, or none of them.
    pub fn set_user<R: AsRef<[u8]>>(&self, name: &[u8], rules: &[R]) -> Result<(), SetUserError> {
        if has_spaces(name) {
            return Err(SetUserError::Name);
        }
        self.change(|users| {
            let mut user = match users.by_name.get(name) {
                Some(user) => User::clone(user),
                None => self.new_user(name),
            };
            user.apply_all(rules)?;
            users.insert(user);
            Ok(())
        })
    }

    /// Sets the one password of `default`, or that it needs none: the setting `requirepass`.
    pub fn set_default_password(&self, password: Option<&[u8]>) {
        let rules: [Vec<u8>; 2] = match password {
            Some(password) => [b"resetpass".to_vec(), [b">", password].concat()],
            None => [b"resetpass".to_vec(), b"nopass".to_vec()],
        };
        self.set_user(DEFAULT, &rules).expect("the rules are well formed");
    }

    /// `ACL DELUSER`: how many of the names were those of users.
    pub fn delete_users<N: AsRef<[u8]>>(&self, names: &[N]) -> Result<usize, DeleteDefaultError> {
        if names.iter().any(|name| name.as_ref() == DEFAULT) {
            return Err(DeleteDefaultError);
        }
        Ok(self.change(|users| {
            let deleted = names.iter().filter(|name| users.by_name.remove(name.as_ref()).is_some());
            deleted.count()
        }))
    }

    /// Puts other users in the place of all: `ACL LOAD`. Who keeps the name keeps the connections;
    /// without a `default` among them there is one as at first.
    pub fn replace(&self, mut set: UserSet) {
        if !set.contains(DEFAULT) {
            set.insert(default_user());
        }
        self.change(|users| {
            for (name, user) in &mut set.by_name {
                let known = users.by_name.get(name).map(|known| known.id);
                Arc::make_mut(user).id = known.unwrap_or_else(|| self.new_id());
            }
            *users = set;
        });
    }

    /// Logs in. Takes as long for a user that is not there as for one that is.
    pub fn authenticate(&self, name: &[u8], password: &[u8]) -> Result<Login, WrongPassword> {
        let generation = self.generation();
        let user = self.get(name);
        let digest = PasswordDigest::of(password);
        let right = user.as_deref().unwrap_or(&self.nobody).has_password(&digest);
        match user {
            Some(user) if user.is_enabled() && (right || user.needs_no_password()) => {
                Ok(Login { user, generation })
            }
            _ => Err(WrongPassword),
        }
    }

    /// The user `default`, as whom every connection begins.
    pub fn default_login(&self) -> Login {
        let generation = self.generation();
        Login { user: self.get(DEFAULT).expect("there is always a default"), generation }
    }

    /// The log of what was denied.
    pub fn log(&self) -> MutexGuard<'_, AclLog> {
        self.log.lock().expect("no panic while held")
    }

    fn new_user(&self, name: &[u8]) -> User {
        User::new(self.new_id(), name)
    }

    fn new_id(&self) -> UserId {
        UserId(self.next_id.fetch_add(1, Ordering::Relaxed))
    }

    fn read<T>(&self, look: impl FnOnce(&UserSet) -> T) -> T {
        look(&self.users.read().expect("no panic while held"))
    }

    /// The generation grows before the lock is given back and after the change, so that who sees
    /// it grown and then reads, reads the change.
    fn change<T>(&self, change: impl FnOnce(&mut UserSet) -> T) -> T {
        let mut users = self.users.write().expect("no panic while held");
        let outcome = change(&mut users);
        self.generation.fetch_add(1, Ordering::Release);
        outcome
    }
}

impl Default for AclStore {
    fn default() -> AclStore {
        AclStore::new()
    }
}

fn default_user() -> User {
    let mut user = User::new(UserId(0), DEFAULT);
    user.apply_all(&["+@all", "~*", "&*", "on", "nopass"]).expect("the rules are well formed");
    user
}

/// Who a connection is: its user, and the generation at which that was so.
#[derive(Clone, Debug)]
pub struct Login {
    user: Arc<User>,
    generation: u64,
}

impl Login {
    /// The user as its rules are now; none if it was deleted, and then the connection is to be
    /// closed. Costs one atomic read unless users changed.
    #[inline]
    pub fn user(&mut self, store: &AclStore) -> Option<&Arc<User>> {
        if self.generation != store.generation() && !self.renew(store) {
            return None;
        }
        Some(&self.user)
    }

    /// The user as it was last seen.
    pub fn last_seen(&self) -> &Arc<User> {
        &self.user
    }

    fn renew(&mut self, store: &AclStore) -> bool {
        let generation = store.generation();
        match store.get(self.user.name()) {
            Some(user) if user.id == self.user.id => {
                *self = Login { user, generation };
                true
            }
            _ => false,
        }
    }

    /// Whether a connection that has not logged in may run commands: `default` is on and needs no
    /// password.
    pub fn needs_no_authentication(&self) -> bool {
        self.user.is_enabled() && self.user.needs_no_password()
    }
}
