//! The settings while the server runs: `CONFIG GET`, `CONFIG SET`, and who reads them meanwhile.
//!
//! ```text
//!  CONFIG SET ─▶ a copy, changed ─▶ do they go together? ─▶ the server acts ─▶ the copy takes over
//!                     └── any refusal: the copy is dropped and nothing has happened ──┘
//! ```
//!
//! Invariant: what readers see passed every check, and one change at a time is under way.

use std::collections::BTreeSet;
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use super::check::check;
use super::faces::{CONSTANTS, Change, FACES, Face, constant, face};
use super::hot::Hot;
use super::load::{Sources, file_of};
use super::refusal::Refusal;
use super::setting::{Reach, Secrecy, Setting};
use super::table::{Config, SETTINGS};

/// The settings while the server runs.
#[derive(Debug)]
pub struct LiveConfig {
    hot: Hot,
    current: RwLock<Arc<Config>>,
    /// The file to rewrite, if the settings came from one.
    pub(super) file: Option<PathBuf>,
    /// Names of what clients changed since the start. Held during a change or a rewrite.
    pub(super) changed: Mutex<BTreeSet<&'static str>>,
}

/// What one `CONFIG SET` changes.
#[derive(Clone, Debug)]
pub struct Changes {
    /// The settings before.
    pub before: Arc<Config>,
    /// The settings after.
    pub after: Arc<Config>,
    /// The names of what differs, as in the table.
    pub names: Vec<&'static str>,
    /// The names of what was set, as in the table, be it to what it was: a file that is named again
    /// may hold something else by now.
    pub set: Vec<&'static str>,
}

impl Changes {
    /// Whether a setting, or several as a tuple, differ.
    pub fn differ<T: PartialEq>(&self, of: impl Fn(&Config) -> T) -> bool {
        of(&self.before) != of(&self.after)
    }
}

/// The server cannot act on a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Declined {
    /// The setting that stands in the way.
    pub setting: &'static str,
    /// Why, in one line.
    pub why: String,
}

/// Why `CONFIG SET` changed nothing. Shown, it is the error reply of Redis 7.2, without the `-`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SetError {
    /// No setting is called that.
    Unknown(String),
    /// A setting cannot be set to that.
    Failed {
        /// The name that the client gave.
        name: String,
        /// Why.
        why: String,
    },
}

impl fmt::Display for SetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SetError::Unknown(name) => {
                write!(f, "ERR Unknown option or number of arguments for CONFIG SET - '{name}'")
            }
            SetError::Failed { name, why } => {
                write!(f, "ERR CONFIG SET failed (possibly related to argument '{name}') - {why}")
            }
        }
    }
}

impl std::error::Error for SetError {}

/// What a name means to `CONFIG SET`.
#[derive(Clone, Copy)]
enum Target {
    Setting(&'static Setting),
    Face(&'static Face),
    Constant(&'static super::faces::Constant),
}

impl Target {
    fn find(name: &str) -> Option<Target> {
        let setting = Setting::find(name).filter(|setting| setting.reach != Reach::FileOnly);
        setting
            .map(Target::Setting)
            .or_else(|| face(name).map(Target::Face))
            .or_else(|| constant(name).map(Target::Constant))
    }

    /// The setting that is changed in the end: two names for it in one command are one too many.
    fn changes(&self) -> &'static str {
        match self {
            Target::Setting(setting) => setting.name,
            Target::Face(face) => face.of,
            Target::Constant(constant) => constant.name,
        }
    }

    fn is_fixed(&self) -> bool {
        match self {
            Target::Setting(setting) => setting.reach != Reach::Live,
            // As the setting it shows.
            Target::Face(face) => {
                Setting::find(face.of).is_some_and(|setting| setting.reach != Reach::Live)
            }
            Target::Constant(constant) => constant.change == Change::Never,
        }
    }

    fn amend(&self, config: &mut Config, text: &str) -> Result<(), Refusal> {
        match self {
            Target::Setting(setting) => (setting.amend)(config, text, setting.bounds),
            Target::Face(face) => (face.amend)(config, text),
            Target::Constant(constant) if text.eq_ignore_ascii_case(constant.value) => Ok(()),
            Target::Constant(constant) => Err(Refusal::other(constant.why)),
        }
    }

    fn show(&self, config: &Config) -> String {
        match self {
            Target::Setting(setting) => (setting.show)(config),
            Target::Face(face) => (face.show)(config),
            Target::Constant(constant) => constant.value.to_owned(),
        }
    }
}

/// All names that `CONFIG GET` knows.
fn names() -> impl Iterator<Item = &'static str> {
    let settings = SETTINGS.iter().filter(|setting| setting.reach != Reach::FileOnly);
    let faces = const { &FACES }.iter().map(|face| face.name);
    let constants = const { &CONSTANTS }.iter().map(|constant| constant.name);
    settings.map(|setting| setting.name).chain(faces).chain(constants)
}

/// Whether what a client sets under this name must not be shown, as in `SLOWLOG` and `MONITOR`.
pub fn is_secret(name: &[u8]) -> bool {
    let setting = std::str::from_utf8(name).ok().and_then(Setting::find);
    setting.is_some_and(|setting| setting.secrecy == Secrecy::Secret)
}

impl LiveConfig {
    /// The settings at the start.
    pub fn new(config: Config, sources: &Sources) -> LiveConfig {
        let hot = Hot::default();
        hot.follow(&config);
        // Nobody may be misled by a change of the working directory.
        let file = file_of(sources).map(|path| std::path::absolute(&path).unwrap_or(path));
        let current = RwLock::new(Arc::new(config));
        LiveConfig { hot, current, file, changed: Mutex::new(BTreeSet::new()) }
    }

    /// What is read often.
    pub fn hot(&self) -> &Hot {
        &self.hot
    }

    /// All settings as they are now.
    pub fn current(&self) -> Arc<Config> {
        // One assignment is made while it is held: a panic leaves nothing half done.
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The file that the settings came from.
    pub fn file(&self) -> Option<&std::path::Path> {
        self.file.as_deref()
    }

    /// Names and values that any of the patterns matches, as `CONFIG GET` answers: a name without
    /// `*`, `?` and `[` is answered as it was asked for. `matches` takes a pattern and a name.
    pub fn get(
        &self,
        patterns: &[&[u8]],
        matches: impl Fn(&[u8], &[u8]) -> bool,
    ) -> Vec<(String, String)> {
        let config = self.current();
        let mut seen = BTreeSet::new();
        let mut found = Vec::new();
        for pattern in patterns {
            let is_pattern = pattern.iter().any(|byte| b"*?[".contains(byte));
            for name in names() {
                let hit = if is_pattern {
                    matches(&pattern.to_ascii_lowercase(), name.as_bytes())
                } else {
                    pattern.eq_ignore_ascii_case(name.as_bytes())
                };
                if !hit || !seen.insert(name) {
                    continue;
                }
                let target = Target::find(name).expect("every name listed is found");
                let asked = String::from_utf8_lossy(pattern).into_owned();
                let shown = if is_pattern { name.to_owned() } else { asked };
                found.push((shown, target.show(&config)));
            }
        }
        found
    }

    /// Changes settings, all or none: `pairs` are names and values as a client sent them. `act` does
    /// what the change asks of the server; if it declines, nothing changes.
    ///
    /// # Errors
    /// Why nothing changed.
    pub fn set(
        &self,
        pairs: &[(&[u8], &[u8])],
        act: impl FnOnce(&Changes) -> Result<(), Declined>,
    ) -> Result<Changes, SetError> {
        let mut changed = self.changed.lock().unwrap_or_else(PoisonError::into_inner);
        let before = self.current();
        let targets = resolve(pairs)?;
        let after = amended(&before, &targets)?;
        let names = differing(&before, &after);
        let set = targets.iter().map(|(_, target, _)| target.changes()).collect();
        let changes = Changes { before, after: Arc::new(after), names, set };
        act(&changes).map_err(|declined| {
            let given = targets.iter().find(|(_, target, _)| target.changes() == declined.setting);
            let name = given.map_or_else(|| declined.setting.to_owned(), |given| given.0.clone());
            SetError::Failed { name, why: declined.why }
        })?;
        changed.extend(&changes.names);
        self.hot.follow(&changes.after);
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&changes.after);
        Ok(changes)
    }
}

/// A name as given, what it means, and the value.
type Wanted<'a> = (String, Target, &'a [u8]);

/// What the names mean. Of several errors, the one that Redis tells.
fn resolve<'a>(pairs: &[(&[u8], &'a [u8])]) -> Result<Vec<Wanted<'a>>, SetError> {
    let mut wanted: Vec<Wanted<'a>> = Vec::with_capacity(pairs.len());
    for (given, value) in pairs {
        let name = one_line(given);
        let Some(target) = Target::find(&name) else { return Err(SetError::Unknown(name)) };
        let failed = |why: &str| SetError::Failed { name: name.clone(), why: why.to_owned() };
        if target.is_fixed() {
            return Err(failed("can't set immutable config"));
        }
        if wanted.iter().any(|(_, other, _)| other.changes() == target.changes()) {
            return Err(failed("duplicate parameter"));
        }
        wanted.push((name, target, value));
    }
    Ok(wanted)
}

/// The settings with all that is wanted.
fn amended(before: &Config, wanted: &[Wanted<'_>]) -> Result<Config, SetError> {
    let mut after = before.clone();
    for (name, target, value) in wanted {
        let text = std::str::from_utf8(value).map_err(|_| Refusal::other("argument must be UTF-8"));
        text.and_then(|text| target.amend(&mut after, text)).map_err(|refusal| {
            SetError::Failed { name: name.clone(), why: refusal.for_client() }
        })?;
        if !matches!(target, Target::Constant(_)) {
            after.origins.note(target.changes(), super::error::Place::Client);
        }
    }
    let Some(mismatch) = check(&after).into_iter().next() else { return Ok(after) };
    let given = wanted.iter().find(|(_, target, _)| target.changes() == mismatch.setting);
    let name = given.or(wanted.first()).map_or_else(String::new, |given| given.0.clone());
    Err(SetError::Failed { name, why: format!("{}; {}", mismatch.what, mismatch.advice) })
}

/// The names of the settings that differ.
fn differing(before: &Config, after: &Config) -> Vec<&'static str> {
    let differs = |setting: &&Setting| !(setting.same)(before, after);
    SETTINGS.iter().filter(differs).map(|setting| setting.name).collect()
}

/// What a client sent, for a reply of one line.
fn one_line(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).replace(['\r', '\n'], " ")
}
