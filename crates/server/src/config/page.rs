//! What is written about the settings, from the table: a page, and a file with all of them.

use std::fmt::Write as _;

use super::faces::{CONSTANTS, FACES};
use super::setting::{Reach, Section, Setting};
use super::table::SETTINGS;

/// What the page says before the tables.
const INTRODUCTION: &str = "\
# Settings of the server

<!-- Made from crates/server/src/config/table.rs: `UPDATE=1 cargo test -p aryavarth-server config` -->

A setting can be given in a file, by an environment variable and by a flag. Each overrides those before it:

| | where | for example |
|---|---|---|
| 1 | the default | |
| 2 | the file that `--config` or `ARYAVARTH_CONFIG` names | `maxclients = 100` |
| 3 | the environment: upper case, `_` for `-` | `ARYAVARTH_MAXCLIENTS=100` |
| 4 | a flag | `--maxclients 100` |

The file is [TOML](https://toml.io) without tables; [deploy/aryavarth.toml](../deploy/aryavarth.toml) lists all of
it. Everything is checked at the start, and all that is wrong is told at once, with line and column.
A name that is not known is an error, in the environment too: but for those of the command line's client
(`ARYAVARTH_ADDR`, `ARYAVARTH_USER`, `ARYAVARTH_PASSWORD`), no other variable may begin with `ARYAVARTH_`.

* Sizes are written as in Redis: `512mb`, `64kb`, `1gb` count by 1024 (`512MiB` is the same), `1k`, `1m`,
  `1g` by 1000, and a number alone is bytes.
* Times that Redis has too are numbers of the unit that is said; other times have their unit: `500ms`,
  `10s`, `5m`, `1h`, `1d`.
* Paths that do not begin with `/` begin where the server was started.

*Live* settings can be changed while the server runs, with `CONFIG SET`: all that one command names, or, if
anything is refused, nothing. `CONFIG REWRITE` writes what was changed that way into the file, whose comments
and order stay; what came from the environment or from flags is not written.
";

/// The page about the settings, in Markdown.
pub fn documentation() -> String {
    let mut page = INTRODUCTION.to_owned();
    for section in Section::ALL {
        let title = section.title();
        write(&mut page, format_args!("\n## {title}\n\n"));
        page.push_str(
            "| setting | what it is | allowed | default | live |\n|---|---|---|---|---|\n",
        );
        for setting in of(section) {
            write(
                &mut page,
                format_args!(
                    "| `{}` | {} | {} | `{}` | {} |\n",
                    setting.name,
                    cell(setting.help),
                    cell(&setting.allowed()),
                    setting.default_literal(),
                    live(setting)
                ),
            );
        }
    }
    redis(&mut page);
    page
}

/// What the page says of Redis' names.
fn redis(page: &mut String) {
    page.push_str(
        "\n## Names of Redis\n\nThese are answered by `CONFIG GET`, and do not stand in the file. Some show a \
         setting:\n\n| name | setting | words |\n|---|---|---|\n",
    );
    for face in &FACES {
        write(page, format_args!("| `{}` | `{}` | {} |\n", face.name, face.of, face.help));
    }
    page.push_str("\nThe others cannot be otherwise:\n\n| name | value | why |\n|---|---|---|\n");
    for constant in &CONSTANTS {
        let (name, value) = (constant.name, super::kind::quoted(constant.value));
        write(page, format_args!("| `{name}` | `{value}` | {} |\n", constant.why));
    }
}

/// A file with all settings at their defaults, each in a comment.
pub fn commented_file() -> String {
    let mut file = "\
# The settings of the server, all at their defaults: take the # away and write your own.
# See docs/configuration.md.
"
    .to_owned();
    for section in Section::ALL {
        write(&mut file, format_args!("\n# --- {} ---\n", section.title()));
        for setting in of(section) {
            let changes = match setting.reach {
                Reach::Live => "; live",
                Reach::Restart | Reach::FileOnly => "",
            };
            file.push('\n');
            for line in wrapped(&format!("{}.", setting.help)) {
                write(&mut file, format_args!("# {line}\n"));
            }
            for line in wrapped(&format!("Allowed: {}{changes}.", setting.allowed())) {
                write(&mut file, format_args!("# {line}\n"));
            }
            let (name, default) = (setting.name, setting.default_literal());
            write(&mut file, format_args!("#{name} = {default}\n"));
        }
    }
    file
}

fn of(section: Section) -> impl Iterator<Item = &'static Setting> {
    SETTINGS.iter().filter(move |setting| setting.section == section)
}

fn live(setting: &Setting) -> &'static str {
    match setting.reach {
        Reach::Live => "yes",
        Reach::Restart => "",
        Reach::FileOnly => "file only",
    }
}

/// A text within a table.
fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

/// A text in lines of a comment.
fn wrapped(text: &str) -> Vec<String> {
    const WIDTH: usize = 96;
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.len() + 1 + word.len() <= WIDTH => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

fn write(text: &mut String, arguments: std::fmt::Arguments<'_>) {
    text.write_fmt(arguments).expect("a String takes all text");
}
