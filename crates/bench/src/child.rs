//! Parent and child: one process per measurement, messages as JSON lines.
//!
//! The parent starts its own binary with `--child TASK`. The child writes one message a line to
//! its standard output, each behind a mark, so that what a store prints is not taken for one.
//! The first message that ends the conversation is [`Message::Failed`] or the end of the output.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::Result;
use crate::workloads::{self, Message, Task};

const FLAG: &str = "--child";
const MARK: &str = "@@";
const POLL: Duration = Duration::from_millis(50);
/// How long a child is let write on after it said that it may be killed.
const MID_WRITE: Duration = Duration::from_millis(300);

static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// The task given to this process, if it is a child.
pub fn task_from_args() -> Option<String> {
    let mut args = std::env::args().skip(1);
    if args.next()? == FLAG { args.next() } else { None }
}

/// Does the task and says what came of it.
pub fn run(task: &str) -> ExitCode {
    // SAFETY: the call only sets the signal this process gets when its parent ends.
    unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
    let done = serde_json::from_str(task)
        .map_err(Into::into)
        .and_then(|task| workloads::run(&task, &mut say));
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&Message::Failed(error.to_string()));
            ExitCode::FAILURE
        }
    }
}

fn say(message: &Message) {
    let text = serde_json::to_string(message).expect("messages are plain data");
    let mut out = std::io::stdout().lock();
    // A parent that is gone cannot be told; the child is about to be killed.
    let _ = writeln!(out, "{MARK}{text}").and_then(|()| out.flush());
}

/// Makes an interrupt or a request to end stop the run in order, scratch removed.
pub fn catch_interrupts() {
    extern "C" fn note(_: libc::c_int) {
        INTERRUPTED.store(true, Ordering::Relaxed);
    }
    let handler = note as extern "C" fn(libc::c_int) as libc::sighandler_t;
    for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP] {
        // SAFETY: the handler only stores to an atomic, which is allowed in a signal handler.
        unsafe { libc::signal(signal, handler) };
    }
}

/// Whether the run is to stop.
pub fn interrupted() -> bool {
    INTERRUPTED.load(Ordering::Relaxed)
}

/// Runs a child to its end, or kills it after `limit`. Returns its messages, failures among them.
pub fn supervise(task: &Task, limit: Duration) -> Result<Vec<Message>> {
    let mut child = Guard(
        Command::new(std::env::current_exe()?)
            .args([FLAG, &serde_json::to_string(task)?])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?,
    );
    let (messages, errors) = listen(&mut child.0)?;
    let mut heard = Vec::new();
    let ended = follow(&mut child.0, &messages, limit, &mut heard);
    let status = child.0.wait()?;
    if !ended {
        heard.push(Message::Failed(if interrupted() {
            "interrupted".into()
        } else {
            format!("killed after {} s", limit.as_secs())
        }));
    }
    let killed_on_request = heard.iter().any(|message| matches!(message, Message::Ready));
    let explained = heard.iter().any(|message| matches!(message, Message::Failed(_)));
    if !status.success() && !killed_on_request && !explained {
        let errors = errors.join().unwrap_or_default();
        heard.push(Message::Failed(format!("{status}: {}", last_words(&errors))));
    }
    Ok(heard)
}

/// The last two lines that say something: of a panic, where it was and what it said.
fn last_words(errors: &str) -> String {
    let telling = |line: &&str| !line.trim().is_empty() && !line.starts_with("note:");
    let lines: Vec<&str> = errors.lines().filter(telling).collect();
    lines[lines.len().saturating_sub(2)..].join(" ")
}

/// Kills the child if the parent gives up on it.
struct Guard(Child);

impl Drop for Guard {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn listen(child: &mut Child) -> Result<(Receiver<Message>, JoinHandle<String>)> {
    let output = child.stdout.take().ok_or("the child has no output")?;
    let mut errors = child.stderr.take().ok_or("the child has no error output")?;
    let (send, messages) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            let message = line.strip_prefix(MARK).and_then(|text| serde_json::from_str(text).ok());
            if message.is_some_and(|message| send.send(message).is_err()) {
                break;
            }
        }
    });
    let errors = std::thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = errors.read_to_end(&mut bytes);
        String::from_utf8_lossy(&bytes).into_owned()
    });
    Ok((messages, errors))
}

/// Collects messages until the child ends; false if it had to be killed for its time.
fn follow(
    child: &mut Child,
    messages: &Receiver<Message>,
    limit: Duration,
    heard: &mut Vec<Message>,
) -> bool {
    let begin = Instant::now();
    loop {
        match messages.recv_timeout(POLL) {
            Ok(message) => {
                if matches!(message, Message::Ready) {
                    std::thread::sleep(MID_WRITE);
                    let _ = child.kill();
                }
                heard.push(message);
            }
            Err(RecvTimeoutError::Disconnected) => return true,
            Err(RecvTimeoutError::Timeout) if begin.elapsed() < limit && !interrupted() => {}
            Err(RecvTimeoutError::Timeout) => {
                let _ = child.kill();
                return false;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_words_of_a_panic_are_its_message() {
        let errors = "noise\nthread 'main' panicked at a.rs:1:\nit broke\nnote: run with\n\n";
        assert_eq!(last_words(errors), "thread 'main' panicked at a.rs:1: it broke");
        assert_eq!(last_words(""), "");
    }
}
