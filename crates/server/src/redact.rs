//! What of a request must not be remembered where others may read it: passwords, and what rules of
//! users tell of them.

use crate::config::is_secret;
use crate::resp::Args;

/// What stands in the place of a word that is not shown.
const REDACTED: &[u8] = b"(redacted)";

/// What to show in the place of word `number` of a request; none if the word itself may be shown.
pub fn redacted(args: Args<'_>, number: usize) -> Option<&'static [u8]> {
    is_hidden(args, number).then_some(REDACTED)
}

fn is_hidden(args: Args<'_>, number: usize) -> bool {
    if args.is(0, "AUTH") {
        return number >= 1;
    }
    if args.is(0, "HELLO") {
        return is_login_of_hello(args, number);
    }
    if args.is(0, "ACL") {
        let shown = ["LOG", "CAT", "GENPASS"].iter().any(|word| args.is(1, word));
        return number >= 2 && !shown;
    }
    // CONFIG SET name value name value: the values are the odd ones.
    let is_value = args.is(0, "CONFIG") && args.is(1, "SET") && number >= 3 && number % 2 == 1;
    is_value && args.get(number - 1).is_some_and(is_secret)
}

/// Whether a word is one of the two after `AUTH`. What the options are is only clear from the first
/// on: a user may be called `auth`.
fn is_login_of_hello(args: Args<'_>, number: usize) -> bool {
    let mut at = 2;
    while at < args.len() {
        if args.is(at, "AUTH") {
            if (at + 1..=at + 2).contains(&number) {
                return true;
            }
            at += 3;
        } else {
            at += if args.is(at, "SETNAME") { 2 } else { 1 };
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resp::OwnedRequest;

    fn shown(line: &str) -> String {
        let request = OwnedRequest::of(line.split(' ').map(str::as_bytes));
        let args = request.args();
        let word = |number| match redacted(args, number) {
            Some(_) => "***".to_owned(),
            None => String::from_utf8_lossy(&args[number]).into_owned(),
        };
        (0..args.len()).map(word).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn secrets_are_not_shown() {
        assert_eq!(shown("AUTH pw"), "AUTH ***");
        assert_eq!(shown("auth alice pw"), "auth *** ***");
        assert_eq!(shown("HELLO 3 AUTH auth pw SETNAME me"), "HELLO 3 AUTH *** *** SETNAME me");
        assert_eq!(shown("HELLO 3 SETNAME auth AUTH a pw"), "HELLO 3 SETNAME auth AUTH *** ***");
        assert_eq!(
            shown("config set timeout 5 RequirePass pw dir x"),
            "config set timeout 5 RequirePass *** dir x"
        );
        assert_eq!(shown("ACL SETUSER alice on >pw"), "ACL SETUSER *** *** ***");
        assert_eq!(shown("ACL DRYRUN alice AUTH pw"), "ACL DRYRUN *** *** ***");
    }

    #[test]
    fn what_is_no_secret_is_shown() {
        for line in ["SET auth pw", "ACL LOG 10", "CONFIG GET requirepass", "CONFIG SET dir x"] {
            assert_eq!(shown(line), line);
        }
    }
}
