//! Requests and replies of the Redis protocol (RESP 2 and 3), as bytes. It knows nothing of the server's code.

/// A reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// A word of the server's.
    Simple(String),
    /// An error.
    Error(String),
    /// A number.
    Integer(i64),
    /// Bytes.
    Bulk(Vec<u8>),
    /// Text for people, with its format.
    Verbatim(String),
    /// Nothing.
    Null,
    /// A number with a fraction, as it came.
    Double(String),
    /// Yes or no.
    Boolean(bool),
    /// Replies in order.
    Array(Vec<Reply>),
    /// Replies in no order.
    Set(Vec<Reply>),
    /// Keys and values in turn.
    Map(Vec<Reply>),
    /// What came without being asked for.
    Push(Vec<Reply>),
    /// The server closed the connection.
    Closed,
    /// Nothing came.
    Silence,
}

/// A request as bytes.
pub fn request(words: &[Vec<u8>]) -> Vec<u8> {
    let mut request = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        request.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
        request.extend_from_slice(word);
        request.extend_from_slice(b"\r\n");
    }
    request
}

/// Takes the first reply off the bytes; none if it is not whole.
///
/// # Panics
/// If it is no reply at all.
pub fn take(bytes: &mut Vec<u8>) -> Option<Reply> {
    let mut rest = &bytes[..];
    let reply = parse(&mut rest)?;
    let used = bytes.len() - rest.len();
    bytes.drain(..used);
    Some(reply)
}

fn parse(rest: &mut &[u8]) -> Option<Reply> {
    let line = line(rest)?;
    let text = line.get(1..).unwrap_or_else(|| panic!("no reply: {line:?}"));
    let number = || text.parse::<i64>().unwrap_or_else(|_| panic!("no number: {line:?}"));
    Some(match &line[..1] {
        "+" => Reply::Simple(text.to_owned()),
        "-" => Reply::Error(text.to_owned()),
        ":" => Reply::Integer(number()),
        "$" | "*" if number() < 0 => Reply::Null,
        "$" => Reply::Bulk(bulk(rest, number())?),
        "=" => Reply::Verbatim(String::from_utf8_lossy(&bulk(rest, number())?).into_owned()),
        "_" => Reply::Null,
        "," => Reply::Double(text.to_owned()),
        "#" => Reply::Boolean(text == "t"),
        "*" => Reply::Array(several(rest, number())?),
        "~" => Reply::Set(several(rest, number())?),
        "%" => Reply::Map(several(rest, 2 * number())?),
        ">" => Reply::Push(several(rest, number())?),
        _ => panic!("no reply: {line:?}"),
    })
}

fn line(rest: &mut &[u8]) -> Option<String> {
    let end = rest.windows(2).position(|pair| pair == b"\r\n")?;
    let line = String::from_utf8_lossy(&rest[..end]).into_owned();
    *rest = &rest[end + 2..];
    Some(line)
}

fn bulk(rest: &mut &[u8], length: i64) -> Option<Vec<u8>> {
    let length = usize::try_from(length).unwrap_or_else(|_| panic!("no length: {length}"));
    let bytes = rest.get(..length + 2)?[..length].to_vec();
    *rest = &rest[length + 2..];
    Some(bytes)
}

fn several(rest: &mut &[u8], count: i64) -> Option<Vec<Reply>> {
    (0..count).map(|_| parse(rest)).collect()
}

#[test]
fn replies_are_taken_one_by_one_once_they_are_whole() {
    let whole = b"+OK\r\n*3\r\n:1\r\n$2\r\nab\r\n$-1\r\n%1\r\n+a\r\n_\r\n-ERR no\r\n";
    let (mut bytes, mut taken) = (Vec::new(), Vec::new());
    for byte in whole {
        bytes.push(*byte);
        taken.extend(take(&mut bytes));
    }
    let array = Reply::Array(vec![Reply::Integer(1), Reply::Bulk(b"ab".to_vec()), Reply::Null]);
    let map = Reply::Map(vec![Reply::Simple("a".into()), Reply::Null]);
    assert_eq!(taken, [Reply::Simple("OK".into()), array, map, Reply::Error("ERR no".into())]);
}
