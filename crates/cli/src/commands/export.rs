//! `export`: writes all records to a file, in the order in which they were stored; those of a
//! server, which does not tell that order, in none.

use aryavarth::{Error, Export, KvStore};
use serde_json::json;

use super::{Context, Target as Whence};
use aryavarth_server::cluster::reserved::is_reserved;

use crate::arguments::Export as Arguments;
use crate::exit::Exit;
use crate::failure::{Failure, Result, finding, tell, warn};
use crate::files::{Place, Target};
use crate::formats::Format;
use crate::output::{Output, Style, counted, to_json};
use crate::progress::{Progress, Unit};
use crate::remote::RemoteStore;
use crate::store::{Detail, Flow, Query, Record};

/// Records after which progress is told.
const PROGRESS_STEP: u64 = 1024;

/// Runs the command.
///
/// # Errors
/// [`Exit::Damage`] at the first damage, or with `--skip-damaged` after all else is written;
/// [`Exit::Input`] if the format cannot hold an entry; whatever reading and writing give.
pub fn run(arguments: &Arguments, context: &Context, output: &mut Output) -> Result<()> {
    let on_damage = if arguments.skip_damaged { OnDamage::LeaveOut } else { OnDamage::Stop };
    let style = output.style();
    let mut source = Records::open(context, on_damage)?;
    let mut exporter = Exporter {
        target: Target::create(&arguments.file, output)?,
        format: arguments.format.unwrap_or_else(|| Format::of(&arguments.file)),
        style,
        on_damage,
        line: Vec::new(),
        written: 0,
        left_out: 0,
    };
    match &mut source {
        Records::Directory(store, damage) => {
            damage.iter().for_each(|error| exporter.leave_out(error));
            exporter.all(store.export()?)?;
        }
        Records::Server(server) => exporter.all_of_server(server)?,
    }
    let (written, left_out) = (exporter.written, exporter.left_out);
    exporter.target.finish()?;
    report(&arguments.file, written, left_out, output)?;
    if left_out == 0 {
        return Ok(());
    }
    let places = counted(left_out, "place");
    Err(Failure::new(Exit::Damage, format!("left out what is damaged, in {places}")))
}

/// What to do with what cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum OnDamage {
    /// Write nothing.
    Stop,
    /// Write the rest.
    LeaveOut,
}

/// Where the records come from.
enum Records {
    /// A store in a directory, and the damage that had to be passed over to open it.
    Directory(Box<KvStore>, Vec<Error>),
    /// A server.
    Server(Box<RemoteStore>),
}

impl Records {
    fn open(context: &Context, on_damage: OnDamage) -> Result<Records> {
        match (context.target(), on_damage) {
            (Whence::Server(endpoint), OnDamage::Stop) => {
                Ok(Records::Server(Box::new(RemoteStore::new(endpoint.connect()?))))
            }
            _ => {
                let (store, damage) = open(context, on_damage)?;
                Ok(Records::Directory(Box::new(store), damage))
            }
        }
    }
}

fn open(context: &Context, on_damage: OnDamage) -> Result<(KvStore, Vec<Error>)> {
    match KvStore::open_with(context.directory()?, context.reading()) {
        Ok(store) => Ok((store, Vec::new())),
        // A bad line of a KVS1 log is text, to be mended by hand: there is no store yet to salvage.
        Err(error @ Error::Damaged { .. }) if on_damage == OnDamage::LeaveOut => {
            let store = KvStore::salvage(context.directory()?, context.reading())?;
            let mut damage = store.skipped_damage().to_vec();
            if damage.is_empty() {
                damage.push(error);
            }
            Ok((store, damage))
        }
        Err(error) => Err(error.into()),
    }
}

struct Exporter<'a> {
    target: Target<'a>,
    format: Format,
    style: Style,
    on_damage: OnDamage,
    /// The line that is being written.
    line: Vec<u8>,
    written: u64,
    left_out: u64,
}

impl Exporter<'_> {
    fn all(&mut self, entries: Export<'_>) -> Result<()> {
        let mut progress = Progress::new("exporting", Unit::Entries);
        let total = entries.total();
        for entry in entries {
            match entry {
                Ok(entry) if is_reserved(&entry.key) => {}
                Ok(entry) => self.write(&entry.into())?,
                Err(error) if self.on_damage == OnDamage::LeaveOut && is_of_one_record(&error) => {
                    self.leave_out(&error);
                }
                Err(error) => return Err(error.into()),
            }
            if self.written.is_multiple_of(PROGRESS_STEP) {
                progress.update(self.written, Some(total));
            }
        }
        Ok(())
    }

    fn all_of_server(&mut self, server: &mut RemoteStore) -> Result<()> {
        let mut progress = Progress::new("exporting", Unit::Entries);
        let total = server.count(None)?;
        let query = Query { prefix: b"", detail: Detail::Everything };
        let left_out = server.list(&query, &mut |record| {
            self.write(&record)?;
            if self.written.is_multiple_of(PROGRESS_STEP) {
                progress.update(self.written, Some(total));
            }
            Ok(Flow::Continue)
        })?;
        if left_out > 0 {
            let message =
                format!("left out {} of other types than strings", counted(left_out, "key"));
            warn(self.style, Exit::Input, &message);
        }
        Ok(())
    }

    fn write(&mut self, record: &Record) -> Result<()> {
        self.line.clear();
        let held = self.format.write(record, &mut self.line);
        held.map_err(|detail| Failure::new(Exit::Input, detail))?;
        self.target.write(&self.line)?;
        self.written += 1;
        Ok(())
    }

    fn leave_out(&mut self, error: &Error) {
        warn(self.style, Exit::Damage, &format!("left out: {}", finding(error)));
        self.left_out += 1;
    }
}

/// Whether the records after the one that gave `error` may still be read.
fn is_of_one_record(error: &Error) -> bool {
    error.is_damage() || matches!(error, Error::Io { .. })
}

/// The report; on standard error if standard output has the records.
fn report(place: &Place, written: u64, left_out: u64, output: &mut Output) -> Result<()> {
    let json = json!({ "records": written, "damaged": left_out });
    match (place, output.style()) {
        (Place::File(_), _) => {
            output.result(&json, &format!("exported {}", counted(written, "record")))
        }
        (Place::Standard, Style::Json) => {
            tell(&to_json(&json));
            Ok(())
        }
        (Place::Standard, Style::Text) => Ok(()),
    }
}
