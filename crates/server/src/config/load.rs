//! From file, environment and flags to settings: each overrides those before it.
//!
//! ```text
//!  defaults ◀── file ◀── ARYAVARTH_* ◀── --flags      then: do they go together?
//! ```
//!
//! Everything is looked at before anything is said, so that one start tells all that is wrong.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use super::check::check;
use super::disk;
use super::error::{ConfigError, Place, Problem};
use super::file::Source;
use super::setting::{PREFIX, Reach, Setting, unknown};
use super::table::Config;

/// The variable that names the file.
pub const FILE_VARIABLE: &str = "ARYAVARTH_CONFIG";

/// Variables of the command line's client, which say nothing to a server.
const CLIENT_VARIABLES: [&str; 3] = ["ARYAVARTH_ADDR", "ARYAVARTH_USER", "ARYAVARTH_PASSWORD"];

/// Where settings come from.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// The file; if none, `ARYAVARTH_CONFIG` may name it.
    pub file: Option<PathBuf>,
    /// Environment variables; those that do not begin with `ARYAVARTH_` are passed over.
    pub environment: Vec<(OsString, OsString)>,
    /// Flags and their values, without the `--` in front; of two alike, the last one holds.
    pub flags: Vec<(String, String)>,
}

impl Config {
    /// The settings that these sources give.
    ///
    /// # Errors
    /// Everything that is wrong with any of them.
    pub fn load(sources: &Sources) -> Result<Config, ConfigError> {
        let mut config = Config::default();
        let mut problems = Vec::new();
        if let Some(path) = file_of(sources) {
            match disk::read(&path).and_then(|bytes| Source::from_bytes(path, bytes)) {
                Ok(source) => problems.extend(source.read_into(&mut config)),
                Err(problem) => problems.push(problem),
            }
        }
        for (name, value) in &sources.environment {
            problems.extend(take_variable(&mut config, name, value).err());
        }
        for (name, value) in &sources.flags {
            problems.extend(take_flag(&mut config, name, value).err());
        }
        // What is wrong by itself may be why the rest does not go together.
        if problems.is_empty() {
            problems =
                check(&config).into_iter().map(|mismatch| mismatch.problem(&config)).collect();
        }
        if problems.is_empty() { Ok(config) } else { Err(ConfigError { problems }) }
    }

    /// Where a setting was given, for the errors of who acts on it.
    pub fn place_of(&self, name: &str) -> Place {
        self.origins.of(name)
    }
}

/// The file that the settings come from, if any.
pub fn file_of(sources: &Sources) -> Option<PathBuf> {
    let named = || {
        let variable = sources.environment.iter().find(|(name, _)| name == FILE_VARIABLE);
        variable.map(|(_, path)| PathBuf::from(path)).filter(|path| path != Path::new(""))
    };
    sources.file.clone().or_else(named)
}

fn take_variable(config: &mut Config, name: &OsStr, value: &OsStr) -> Result<(), Problem> {
    let name = name.to_string_lossy();
    let is_other = name == FILE_VARIABLE || CLIENT_VARIABLES.contains(&name.as_ref());
    let Some(rest) = name.strip_prefix(PREFIX).filter(|_| !is_other) else { return Ok(()) };
    let place = Place::Variable(name.clone().into_owned());
    // Upper case with `_` is the one way to write it.
    let setting = Setting::find(&rest.replace('_', "-")).filter(|found| found.variable() == name);
    let Some(setting) = setting else {
        return Err(unknown(place, rest, Setting::variable));
    };
    let Some(value) = value.to_str() else {
        let what = "the value is not UTF-8".to_owned();
        return Err(Problem { place, setting: Some(setting.name.to_owned()), what, advice: None });
    };
    assign(config, setting, value, place)
}

fn take_flag(config: &mut Config, name: &str, value: &str) -> Result<(), Problem> {
    let place = Place::Flag(name.to_owned());
    match Setting::find(name).filter(|setting| setting.name == name) {
        Some(setting) => assign(config, setting, value, place),
        None => Err(unknown(place, name, |setting| format!("--{}", setting.name))),
    }
}

fn assign(
    config: &mut Config,
    setting: &Setting,
    value: &str,
    place: Place,
) -> Result<(), Problem> {
    if setting.reach == Reach::FileOnly {
        let what = "can be given in the file only".to_owned();
        return Err(Problem { place, setting: Some(setting.name.to_owned()), what, advice: None });
    }
    (setting.parse)(config, value, setting.bounds)
        .map_err(|refusal| setting.problem(place.clone(), Some(value), &refusal))?;
    config.origins.note(setting.name, place);
    Ok(())
}
