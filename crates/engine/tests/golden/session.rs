//! The commands of a script.
//!
//! ```text
//! options durability=os segment=8192     how the store is opened from here on
//! use NAME | open | close | reopen | salvage
//! set K V | rm K | get K | entry K | setx K V [nx|xx] [ttl=MS] | cas K absent|value=V|version=N NEW|-
//! batch set K V; rm K; …                 fill PREFIX COUNT SIZE
//! list | export | len | stats | report
//! sync | checkpoint | compact | verify | verify-directory | backup NAME | restore FROM TO
//! wait MS | capacity BYTES|free | fail CALL FAULT
//! crash kill|lose-unsynced|keep-all|tear-last=N
//! dump | manifest | files | cat FILE | put FILE TEXT | flip FILE OFFSET BIT | cut FILE LENGTH
//! delete FILE
//! … and those of replicated.rs
//! ```
//!
//! The store is opened by the first command that needs it. `dump` and `manifest` look at the files as
//! another process would, also while the store is open.

use std::io::ErrorKind;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use aryavarth::disk::sim::{CallKind, CrashPlan, FailedSync, Fault, SimDisk};
use aryavarth::{
    Durability, Entry, Expected, KvStore, Options, Result, Sequence, SetOptions, SetOutcome, Swap,
    UnixMillis, VerifyReport, WriteBatch,
};

use crate::{replicated, show};

/// How a script writes the empty value.
const EMPTY: &str = "\"\"";

/// A script on its way.
pub struct Session {
    disk: SimDisk,
    name: String,
    durability: Durability,
    segment_size: u64,
    store: Option<KvStore>,
}

impl Session {
    /// A new machine.
    pub fn new() -> Session {
        Session {
            disk: SimDisk::with_seed(1),
            name: "store".to_owned(),
            durability: Durability::Always,
            segment_size: 4096,
            store: None,
        }
    }

    /// What a command prints.
    pub fn run(&mut self, line: &str) -> String {
        match self.perform(line) {
            Ok(output) if output.is_empty() || output.ends_with('\n') => output,
            Ok(output) => output + "\n",
            Err(error) => format!("error: {error}\n"),
        }
    }

    fn perform(&mut self, line: &str) -> Result<String> {
        let words: Vec<&str> = line.split(' ').collect();
        match words[..] {
            ["options", ref settings @ ..] => self.set_options(settings),
            ["use", name] => {
                self.close()?;
                self.name = name.to_owned();
                Ok(String::new())
            }
            ["open"] => self.store().map(|_| "open".to_owned()),
            ["close"] => self.close().map(|()| String::new()),
            ["reopen"] => {
                self.close()?;
                self.perform("report")
            }
            ["salvage"] => {
                self.close()?;
                self.store = Some(KvStore::salvage(self.directory(), self.options())?);
                let store = self.store()?;
                Ok(store
                    .skipped_damage()
                    .iter()
                    .map(|damage| format!("skipped: {damage}\n"))
                    .collect())
            }
            ["wait", millis] => {
                self.disk.advance(Duration::from_millis(number(millis)));
                Ok(String::new())
            }
            ["capacity", bytes] => {
                self.disk.set_capacity(if bytes == "free" { u64::MAX } else { number(bytes) });
                Ok(String::new())
            }
            ["fail", call, fault] => self.fail(call, fault),
            ["crash", plan] => self.crash(plan),
            ["dump" | "manifest" | "files" | "cat" | "put" | "flip" | "cut" | "delete", ..] => {
                Ok(self.look_at_files(&words))
            }
            ["verify-directory"] => {
                aryavarth::verify_directory(self.directory(), &self.options(), |_| {}).map(verified)
            }
            ["restore", from, to] => {
                let (from, to) = (root().join(from), root().join(to));
                let report = aryavarth::restore(from, to, &self.options(), |_| {})?;
                Ok(format!("{} segments, {} bytes", report.segments, report.bytes))
            }
            ["set" | "rm" | "setx" | "cas" | "batch" | "fill", ..] => self.write(line, &words),
            [
                "replica" | "forget" | "state" | "entries" | "vote" | "append" | "commit"
                | "truncate" | "purge" | "reset",
                ..,
            ] => {
                let store = self.store()?;
                replicated::perform(&store, line, |parts| self.batch(parts))
            }
            _ => self.ask(&words),
        }
    }

    // --- the store ---

    fn set_options(&mut self, settings: &[&str]) -> Result<String> {
        self.close()?;
        for setting in settings {
            match setting.split_once('=') {
                Some(("durability", "always")) => self.durability = Durability::Always,
                Some(("durability", "os")) => self.durability = Durability::Os,
                Some(("segment", bytes)) => self.segment_size = number(bytes),
                _ => panic!("unknown setting {setting:?}"),
            }
        }
        Ok(String::new())
    }

    fn options(&self) -> Options {
        Options::tiny()
            .durability(self.durability)
            .segment_size(self.segment_size)
            .disk(Arc::new(self.disk.clone()))
    }

    fn directory(&self) -> PathBuf {
        root().join(&self.name)
    }

    fn store(&mut self) -> Result<KvStore> {
        if self.store.is_none() {
            self.store = Some(KvStore::open_with(self.directory(), self.options())?);
        }
        Ok(self.store.clone().expect("it was just opened"))
    }

    fn close(&mut self) -> Result<()> {
        self.store.take().map_or(Ok(()), KvStore::close)
    }

    // --- what goes wrong ---

    fn fail(&mut self, call: &str, fault: &str) -> Result<String> {
        let call = match call {
            "sync" => CallKind::Sync,
            "write" => CallKind::Write,
            "rename" => CallKind::Rename,
            _ => panic!("unknown call {call:?}"),
        };
        let fault = match fault {
            "dropped" => Fault::SyncFails(FailedSync::Dropped),
            "device" => Fault::DeviceError,
            "denied" => Fault::Error(ErrorKind::PermissionDenied),
            _ => panic!("unknown fault {fault:?}"),
        };
        self.disk.fail_next(call, fault);
        Ok(String::new())
    }

    /// Goes on with the machine as it is after the crash; what was open is gone.
    fn crash(&mut self, plan: &str) -> Result<String> {
        let plan = match plan.split_once('=') {
            Some(("tear-last", bytes)) => CrashPlan::TearLast(number(bytes) as usize),
            _ => match plan {
                "kill" => CrashPlan::KillProcess,
                "lose-unsynced" => CrashPlan::LoseUnsynced,
                "keep-all" => CrashPlan::KeepAll,
                _ => panic!("unknown crash {plan:?}"),
            },
        };
        let unsynced = self.disk.unsynced();
        self.disk = self.disk.crashed_image(plan);
        self.store = None;
        Ok(format!("{unsynced} unsynced"))
    }

    // --- files ---

    fn look_at_files(&mut self, words: &[&str]) -> String {
        match words {
            ["dump"] => self.dump(),
            ["manifest"] => show::manifest(&self.disk.contents(&self.file("logs/manifest"))),
            ["files"] => {
                let listed = |(path, length): (PathBuf, u64)| {
                    let name = path.strip_prefix(self.directory()).ok()?;
                    Some(format!("{} {length}\n", name.display()))
                };
                self.disk.files().into_iter().filter_map(listed).collect()
            }
            ["cat", file] => String::from_utf8_lossy(&self.disk.contents(&self.file(file))).into(),
            ["put", file, text @ ..] => {
                let text = text.join(" ").replace("\\n", "\n");
                self.disk.put_file(&self.file(file), text.as_bytes());
                String::new()
            }
            ["flip", file, offset, bit] => {
                self.disk.flip_bit(&self.file(file), number(offset), number(bit) as u8);
                String::new()
            }
            ["cut", file, length] => {
                self.disk.truncate_file(&self.file(file), number(length));
                String::new()
            }
            ["delete", file] => {
                self.disk.delete(&self.file(file));
                String::new()
            }
            _ => panic!("unknown command {words:?}"),
        }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.directory().join(name)
    }

    fn dump(&self) -> String {
        let image = self.disk.crashed_image(CrashPlan::KillProcess);
        let options = self.options().disk(Arc::new(image));
        let mut out = String::new();
        let read = aryavarth::read_log(self.directory(), &options, |record| {
            out += &show::record(&record);
            ControlFlow::Continue(())
        });
        if let Err(error) = read {
            out += &format!("error: {error}\n");
        }
        out
    }

    // --- writing ---

    fn write(&mut self, line: &str, words: &[&str]) -> Result<String> {
        let store = self.store()?;
        match *words {
            ["set", key, value] => {
                store.set(key, if value == EMPTY { "" } else { value })?;
                Ok(entry_line(&store.get_entry(key)?.expect("it was just set")))
            }
            ["rm", key] => Ok(if store.remove(key)? { "removed" } else { "was not there" }.into()),
            ["setx", key, value, ref conditions @ ..] => {
                let mut options = SetOptions::new();
                for condition in conditions {
                    options = match condition.split_once('=') {
                        None if *condition == "nx" => options.only_if_absent(),
                        None if *condition == "xx" => options.only_if_present(),
                        Some(("ttl", ms)) => options.expire_in(Duration::from_millis(number(ms))),
                        _ => panic!("unknown condition {condition:?}"),
                    };
                }
                Ok(match store.set_with(key, value, options)? {
                    SetOutcome::Written(version) => format!("#{version}"),
                    SetOutcome::Declined => "declined".to_owned(),
                })
            }
            ["cas", key, expected, new] => {
                let expected = match expected.split_once('=') {
                    None => Expected::Absent,
                    Some(("value", value)) => Expected::Value(value.as_bytes()),
                    Some((_, version)) => Expected::Version(Sequence(number(version))),
                };
                let new = (new != "-").then_some(new.as_bytes());
                Ok(match store.compare_and_swap(key, expected, new)? {
                    Swap::Swapped(version) => format!("#{version}"),
                    Swap::Mismatch => "mismatch".to_owned(),
                })
            }
            ["batch", ..] => {
                let parts = line.strip_prefix("batch ").expect("it begins so");
                Ok(format!("#{}", store.write(&self.batch(parts))?))
            }
            ["fill", prefix, count, size] => {
                for key in 0..number(count) {
                    store.set(format!("{prefix}{key}"), vec![b'x'; number(size) as usize])?;
                }
                Ok(String::new())
            }
            _ => panic!("unknown command {line:?}"),
        }
    }

    fn batch(&self, parts: &str) -> WriteBatch {
        let mut batch = WriteBatch::new();
        for part in parts.split("; ") {
            match part.split(' ').collect::<Vec<_>>()[..] {
                ["set", key, value] => batch.set(key, value),
                ["set", key, value, at] => batch.set_expiring(key, value, UnixMillis(number(at))),
                ["rm", key] => batch.remove(key),
                _ => panic!("unknown operation {part:?}"),
            };
        }
        batch
    }

    // --- asking ---

    fn ask(&mut self, words: &[&str]) -> Result<String> {
        let store = self.store()?;
        match *words {
            ["get", key] => {
                let value = store.get(key)?;
                Ok(value.map_or_else(|| "absent".to_owned(), |value| show::text(&value)))
            }
            ["entry", key] => {
                let entry = store.get_entry(key)?;
                Ok(entry.map_or_else(|| "absent".to_owned(), |entry| entry_line(&entry)))
            }
            ["list"] => {
                let mut entries = store.iter().collect::<Result<Vec<_>>>()?;
                entries.sort_by(|a, b| a.key.cmp(&b.key));
                Ok(entries.iter().map(|entry| entry_line(entry) + "\n").collect())
            }
            ["export"] => {
                let entries = store.export()?.collect::<Result<Vec<_>>>()?;
                Ok(entries.iter().map(|entry| entry_line(entry) + "\n").collect())
            }
            ["len"] => Ok(store.len().to_string()),
            ["stats"] => {
                let stats = store.stats();
                Ok(format!(
                    "{} keys, {} live + {} stale = {} bytes in {} segments",
                    stats.keys,
                    stats.live_bytes,
                    stats.stale_bytes,
                    stats.log_bytes,
                    stats.segments
                ))
            }
            ["report"] => {
                let report = store.recovery_report();
                Ok(format!(
                    "{} keys from the checkpoint, {} records replayed, {} bytes cut",
                    report.keys_from_checkpoint, report.records_replayed, report.bytes_cut
                ))
            }
            ["sync"] => store.sync().map(|()| String::new()),
            ["checkpoint"] => store.checkpoint().map(|()| String::new()),
            ["compact"] => {
                let done = store.compact()?;
                Ok(format!(
                    "{} segments rewritten, {} bytes freed",
                    done.segments, done.bytes_freed
                ))
            }
            ["verify"] => store.verify(|_| {}).map(verified),
            ["backup", name] => {
                let report = store.backup(root().join(name))?;
                Ok(format!("{} segments, {} bytes", report.segments, report.bytes))
            }
            _ => panic!("unknown command {words:?}"),
        }
    }
}

fn root() -> &'static Path {
    Path::new("/")
}

pub fn number(text: &str) -> u64 {
    text.parse().unwrap_or_else(|_| panic!("{text:?} is no number"))
}

fn entry_line(entry: &Entry) -> String {
    let expiry = entry.expires_at.map_or_else(String::new, |at| format!(" until {}", at.0));
    let (key, value) = (show::text(&entry.key), show::text(&entry.value));
    format!("#{} {key} = {value}{expiry}", entry.version)
}

fn verified(report: VerifyReport) -> String {
    let damage = report.damage.iter().map(|damage| format!("\n{damage}")).collect::<String>();
    format!("{} records in {} segments{damage}", report.records, report.segments)
}
