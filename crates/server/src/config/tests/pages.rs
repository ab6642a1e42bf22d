//! What is written about the settings is what they are. `UPDATE=1 cargo test` writes it again.

use super::super::{Config, SETTINGS, commented_file, documentation};
use super::{Scratch, differing, in_repository};

#[expect(clippy::disallowed_methods, reason = "the files of the repository")]
fn agrees(path: &str, text: &str) {
    let path = in_repository(path);
    if std::env::var_os("UPDATE").is_some_and(|update| update == "1") {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
    }
    let stands = std::fs::read(&path).unwrap_or_default();
    let path = path.display();
    assert!(stands == text.as_bytes(), "{path} is stale: review with UPDATE=1 and git diff");
}

#[test]
fn the_page_is_fresh() {
    agrees("docs/configuration.md", &documentation());
}

#[test]
fn the_file_is_fresh() {
    agrees("deploy/aryavarth.toml", &commented_file());
}

#[test]
fn the_file_says_the_defaults() {
    let lines = commented_file();
    let settings: Vec<&str> = lines
        .lines()
        .filter_map(|line| {
            line.strip_prefix('#').filter(|rest| rest.starts_with(|c: char| c.is_ascii_lowercase()))
        })
        .collect();
    assert_eq!(settings.len(), SETTINGS.len());
    // Everything taken out of its comment, the file changes nothing.
    let config = Scratch::new(&settings.join("\n")).load().unwrap();
    assert_eq!(differing(&config, &Config::default()), Vec::<&str>::new());
    let untouched = Scratch::new(&lines).load().unwrap();
    assert_eq!(differing(&untouched, &Config::default()), Vec::<&str>::new());
}
