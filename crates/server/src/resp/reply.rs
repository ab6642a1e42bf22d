//! Replies to bytes: RESP3 where the client asked for it, its nearest in RESP2 otherwise.
//!
//! ```text
//!              RESP2            RESP3
//!  null        $-1 / *-1        _
//!  map         *2n, flat        %n
//!  set         *n               ~n
//!  double      $… as text       ,…
//!  boolean     :1 / :0          #t / #f
//!  verbatim    $…               =… with its format
//! ```

/// The version of the protocol that a client speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Protocol {
    /// RESP2, until `HELLO 3`.
    #[default]
    Two,
    /// RESP3.
    Three,
}

impl Protocol {
    /// The number of the version.
    pub fn number(self) -> i64 {
        match self {
            Protocol::Two => 2,
            Protocol::Three => 3,
        }
    }
}

/// Where one reply is written.
pub struct Reply<'a> {
    out: &'a mut Vec<u8>,
    protocol: Protocol,
}

impl<'a> Reply<'a> {
    /// Writes to the end of `out`.
    pub fn new(out: &'a mut Vec<u8>, protocol: Protocol) -> Reply<'a> {
        Reply { out, protocol }
    }

    /// The version in which it is written.
    pub fn protocol(&self) -> Protocol {
        self.protocol
    }

    /// Changes the version of what is written from here on, as `HELLO` does.
    pub fn set_protocol(&mut self, protocol: Protocol) {
        self.protocol = protocol;
    }

    /// The bytes so far, those of earlier replies among them.
    pub fn buffer(&mut self) -> &mut Vec<u8> {
        self.out
    }

    fn header(&mut self, kind: u8, number: i64) {
        self.out.push(kind);
        crate::value::integer::write_i64(self.out, number);
        self.out.extend_from_slice(b"\r\n");
    }

    /// `+OK`.
    #[inline]
    pub fn ok(&mut self) {
        self.out.extend_from_slice(b"+OK\r\n");
    }

    /// A word of ours, without line ends.
    pub fn simple(&mut self, text: &str) {
        debug_assert!(!text.contains(['\r', '\n']));
        self.out.push(b'+');
        self.out.extend_from_slice(text.as_bytes());
        self.out.extend_from_slice(b"\r\n");
    }

    /// An error, its code first. Line ends become spaces, so that nothing can be smuggled in.
    pub fn error(&mut self, text: &str) {
        self.out.push(b'-');
        let text = text.trim_end_matches(['\r', '\n']);
        self.out.extend(text.bytes().map(|b| if matches!(b, b'\r' | b'\n') { b' ' } else { b }));
        self.out.extend_from_slice(b"\r\n");
    }

    /// A number.
    #[inline]
    pub fn integer(&mut self, number: i64) {
        self.header(b':', number);
    }

    /// A number that is not negative, such as a count or a length.
    pub fn count(&mut self, number: usize) {
        self.integer(i64::try_from(number).unwrap_or(i64::MAX));
    }

    /// Bytes.
    #[inline]
    pub fn bulk(&mut self, bytes: &[u8]) {
        self.out.reserve(bytes.len() + 32);
        self.header(b'$', bytes.len() as i64);
        self.out.extend_from_slice(bytes);
        self.out.extend_from_slice(b"\r\n");
    }

    /// Bytes, or nothing.
    pub fn bulk_or_null(&mut self, bytes: Option<&[u8]>) {
        match bytes {
            Some(bytes) => self.bulk(bytes),
            None => self.null(),
        }
    }

    /// Nothing.
    #[inline]
    pub fn null(&mut self) {
        self.out.extend_from_slice(match self.protocol {
            Protocol::Two => b"$-1\r\n",
            Protocol::Three => b"_\r\n",
        });
    }

    /// Nothing, where an array could have been.
    pub fn null_array(&mut self) {
        self.out.extend_from_slice(match self.protocol {
            Protocol::Two => b"*-1\r\n",
            Protocol::Three => b"_\r\n",
        });
    }

    /// An array: `length` replies follow.
    pub fn array(&mut self, length: usize) {
        self.header(b'*', length as i64);
    }

    /// A map: `length` times a key and its value follow.
    pub fn map(&mut self, length: usize) {
        match self.protocol {
            Protocol::Two => self.header(b'*', 2 * length as i64),
            Protocol::Three => self.header(b'%', length as i64),
        }
    }

    /// A set: `length` replies follow.
    pub fn set(&mut self, length: usize) {
        match self.protocol {
            Protocol::Two => self.header(b'*', length as i64),
            Protocol::Three => self.header(b'~', length as i64),
        }
    }

    /// A floating-point number.
    pub fn double(&mut self, number: f64) {
        let text = if number.is_nan() {
            "nan".to_owned()
        } else if number.is_infinite() {
            if number > 0.0 { "inf".to_owned() } else { "-inf".to_owned() }
        } else {
            format!("{number}")
        };
        match self.protocol {
            Protocol::Two => self.bulk(text.as_bytes()),
            Protocol::Three => {
                self.out.push(b',');
                self.out.extend_from_slice(text.as_bytes());
                self.out.extend_from_slice(b"\r\n");
            }
        }
    }

    /// Yes or no.
    pub fn boolean(&mut self, yes: bool) {
        match self.protocol {
            Protocol::Two => self.integer(i64::from(yes)),
            Protocol::Three => {
                self.out.extend_from_slice(if yes { b"#t\r\n" } else { b"#f\r\n" });
            }
        }
    }

    /// Text for people.
    pub fn verbatim(&mut self, text: &str) {
        match self.protocol {
            Protocol::Two => self.bulk(text.as_bytes()),
            Protocol::Three => {
                self.header(b'=', text.len() as i64 + 4);
                self.out.extend_from_slice(b"txt:");
                self.out.extend_from_slice(text.as_bytes());
                self.out.extend_from_slice(b"\r\n");
            }
        }
    }
}
