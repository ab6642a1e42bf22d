//! What is known about one setting, and how settings are found by name.

use super::error::{Place, Problem};
use super::kind::Written;
use super::refusal::Refusal;
use super::spelling::closest;
use super::table::{Config, SETTINGS};

/// What begins the name of every environment variable of the server.
pub const PREFIX: &str = "ARYAVARTH_";

/// The part of the documentation that a setting stands in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Section {
    /// Who can connect, and how.
    Network,
    /// Who may do what.
    Security,
    /// What one client can ask for.
    Limits,
    /// The files.
    Store,
    /// The other nodes.
    Cluster,
    /// What the operator sees.
    Observation,
}

impl Section {
    /// All of them, in order.
    pub const ALL: [Section; 6] = [
        Section::Network,
        Section::Security,
        Section::Limits,
        Section::Store,
        Section::Cluster,
        Section::Observation,
    ];

    /// The heading.
    pub fn title(self) -> &'static str {
        match self {
            Section::Network => "Network",
            Section::Security => "Security",
            Section::Limits => "Limits",
            Section::Store => "Store",
            Section::Cluster => "Cluster",
            Section::Observation => "Observation",
        }
    }
}

/// Where and when a setting can be given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// At start, and by `CONFIG SET` at any time.
    Live,
    /// At start.
    Restart,
    /// At start, in the file alone.
    FileOnly,
}

/// Whether a value may be shown where others may read it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Secrecy {
    /// It may.
    Plain,
    /// It may not.
    Secret,
}

/// The least and the most a number may be, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// The least.
    pub least: i64,
    /// The most.
    pub most: i64,
}

/// Writes a text into the settings.
type TakeText = fn(&mut Config, &str, Option<Bounds>) -> Result<(), Refusal>;

/// Writes a value of the file into the settings.
type TakeValue = fn(&mut Config, Written<'_>, Option<Bounds>) -> Result<(), Refusal>;

/// One setting: what the table says of it. The functions reach its field.
pub struct Setting {
    /// Its name, in the file and for `CONFIG`; that of Redis where Redis has it.
    pub name: &'static str,
    /// What it is, in one line.
    pub help: &'static str,
    /// The part of the documentation it stands in.
    pub section: Section,
    /// What its number counts; nothing if that is said otherwise.
    pub unit: &'static str,
    /// How small and large it may be.
    pub bounds: Option<Bounds>,
    /// Where and when it can be given.
    pub reach: Reach,
    /// Whether it may be shown.
    pub secrecy: Secrecy,
    pub(super) shape: &'static str,
    pub(super) choices: &'static [&'static str],
    pub(super) bound: fn(i64) -> String,
    pub(super) parse: TakeText,
    pub(super) amend: TakeText,
    pub(super) read: TakeValue,
    pub(super) show: fn(&Config) -> String,
    pub(super) literal: fn(&Config) -> String,
    pub(super) same: fn(&Config, &Config) -> bool,
}

impl Setting {
    /// The setting of this name, whatever its case.
    pub fn find(name: &str) -> Option<&'static Setting> {
        SETTINGS.iter().find(|setting| setting.name.eq_ignore_ascii_case(name))
    }

    /// The environment variable that gives it.
    pub fn variable(&self) -> String {
        format!("{PREFIX}{}", self.name.to_ascii_uppercase().replace('-', "_"))
    }

    /// What it may be, in words.
    pub fn allowed(&self) -> String {
        if !self.choices.is_empty() {
            return self.choices.join(", ");
        }
        let unit = if self.unit.is_empty() { String::new() } else { format!(" ({})", self.unit) };
        let shape = self.shape;
        match self.bounds {
            None | Some(Bounds { least: 0, most: i64::MAX }) => format!("{shape}{unit}"),
            Some(Bounds { least, most: i64::MAX }) => {
                format!("{shape}{unit}, at least {}", (self.bound)(least))
            }
            Some(Bounds { least, most }) => {
                format!("{shape}{unit}, {} to {}", (self.bound)(least), (self.bound)(most))
            }
        }
    }

    /// Its default, as it is written in the file.
    pub fn default_literal(&self) -> String {
        (self.literal)(&Config::default())
    }

    /// Its default, as a flag gives it.
    fn default_word(&self) -> String {
        // Sizes and times are shorter in the file's notation; lists and switches have none there.
        match self.default_literal().strip_prefix('"') {
            Some(text) => text.trim_end_matches('"').to_owned(),
            None => (self.show)(&Config::default()),
        }
    }

    /// The problem of a value that cannot be taken; `shown` is what was written, if it is a text.
    pub(super) fn problem(&self, place: Place, shown: Option<&str>, refusal: &Refusal) -> Problem {
        let said = refusal.for_operator();
        let what = match (shown, self.secrecy, refusal) {
            (Some(shown), Secrecy::Plain, Refusal::Type(_) | Refusal::Other(_)) => {
                format!("`{}`: {said}", short(shown))
            }
            (Some(shown), Secrecy::Plain, _) => format!("`{}` is {said}", short(shown)),
            _ => said,
        };
        let advice = Some(format!("allowed: {}", self.allowed()));
        Problem { place, setting: Some(self.name.to_owned()), what, advice }
    }
}

impl std::fmt::Debug for Setting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Setting").field("name", &self.name).finish_non_exhaustive()
    }
}

/// As much of a value as fits in a message.
fn short(text: &str) -> String {
    const MOST: usize = 60;
    match text.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_owned(),
    }
}

/// The problem of a name that no setting has; `spell` writes a setting's name as it is written there.
pub(super) fn unknown(place: Place, name: &str, spell: impl Fn(&Setting) -> String) -> Problem {
    let meant = super::faces::written_as(name)
        .or_else(|| closest(name, SETTINGS.iter().map(|setting| setting.name)));
    let advice = match meant.and_then(Setting::find) {
        Some(setting) => Some(format!("did you mean `{}`?", spell(setting))),
        None => super::faces::constant(name).map(|constant| constant.why.to_owned()),
    };
    Problem {
        place,
        setting: None,
        what: format!("no setting is called `{}`", short(name)),
        advice,
    }
}

/// A setting as a flag of the command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flag {
    /// Its name, without the `--` in front.
    pub name: &'static str,
    /// What it is, in one line.
    pub help: &'static str,
    /// What may be given, in words.
    pub allowed: String,
    /// The environment variable that gives it too.
    pub variable: String,
    /// The default, as it is given on the command line.
    pub default: String,
    /// The heading it stands under.
    pub heading: &'static str,
}

/// The flags that give settings, in the order of the documentation.
pub fn flags() -> impl Iterator<Item = Flag> {
    let on_the_command_line = |setting: &&Setting| setting.reach != Reach::FileOnly;
    SETTINGS.iter().filter(on_the_command_line).map(|setting| Flag {
        name: setting.name,
        help: setting.help,
        allowed: setting.allowed(),
        variable: setting.variable(),
        default: setting.default_word(),
        heading: setting.section.title(),
    })
}
