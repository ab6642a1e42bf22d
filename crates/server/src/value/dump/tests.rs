//! Tests of dumps: payloads that a Redis 7.0.15 made, and bytes that nobody made.

use super::*;
use proptest::prelude::*;

const LONGEST: usize = 1 << 20;

fn from_hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.chars().map(|digit| digit.to_digit(16).unwrap() as u8).collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

/// Puts a version and the right checksum behind `body`.
fn sealed(body: &[u8], version: u16) -> Vec<u8> {
    let covered = [body, &version.to_le_bytes()].concat();
    let checksum = crc64::checksum(&covered);
    [&covered[..], &checksum.to_le_bytes()].concat()
}

const FOX: &str = "the quick brown fox jumps over the lazy dog. ";

/// Values, and what `DUMP` of Redis 7.0.15 answered for them.
fn dumped() -> Vec<(Vec<u8>, &'static str)> {
    let text = |text: &str| text.as_bytes().to_vec();
    vec![
        (text(""), "00000a005d9b5c400f7fa2da"),
        (text("0"), "00c0000a009840a778f8500308"),
        (text("-1"), "00c0ff0a000c937e2485089dc5"),
        (text("127"), "00c07f0a000db5eb315254c514"),
        (text("128"), "00c180000a00eb7ab3b510cf4b65"),
        (text("-128"), "00c0800a009966326d2f0c5bd9"),
        (text("-129"), "00c17fff0a001760822854808480"),
        (text("32767"), "00c1ff7f0a00495a37da17f4d52b"),
        (text("-32769"), "00c2ff7fffff0a00aee34c4d06c68536"),
        (text("2147483647"), "00c2ffffff7f0a002c74e59ee02eada1"),
        (text("2147483648"), "000a323134373438333634380a00e7b129a34c1d76ee"),
        (text("00"), "000230300a00d2e5848f3d1d6f50"),
        (text("hello"), "000568656c6c6f0a006372df766534200a"),
        (
            text("aaaaaaaaaaaaaaaaaaaa"),
            "001461616161616161616161616161616161616161610a0083b46b5e1b11acf1",
        ),
        (text(&"a".repeat(200)), "00c30940c8016161e0bb000161610a001f99f72e01b20de3"),
        (
            text(&FOX.repeat(30)),
            "00c3404145461f74686520717569636b2062726f776e20666f78206a756d7073206f7665722074201e08\
             6c617a7920646f672e600de0ff2ce1ff0de2ff1be3ff29e4ea37012e200a0072426c4894a21aa0",
        ),
        (
            (0..70).collect(),
            "004046000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f20212223242526\
             2728292a2b2c2d2e2f303132333435363738393a3b3c3d3e3f4041424344450a00e02311b7571ca0ed",
        ),
        (
            text(&"0123456789".repeat(40)),
            "00c31541900a3031323334353637383930e0ff09e1720d0138390a0015506817a6245060",
        ),
    ]
}

#[test]
fn reads_what_redis_dumped() {
    for (value, payload) in dumped() {
        let payload = from_hex(payload);
        assert_eq!(decode(&payload, LONGEST).as_deref(), Ok(&value[..]));
    }
}

#[test]
fn writes_as_redis_but_for_version_and_compression() {
    for (value, payload) in dumped() {
        let (redis, ours) = (from_hex(payload), encode(&value));
        let body = |payload: &[u8]| payload[..payload.len() - 10].to_vec();
        if redis[1] != COMPRESSED {
            assert_eq!(body(&ours), body(&redis));
        }
        assert_eq!(ours[ours.len() - 10..][..2], WRITTEN_VERSION.to_le_bytes());
    }
    assert_eq!(encode(&[0; 0x3fff])[..3], [0, 0x7f, 0xff]);
    assert_eq!(encode(&[0; 0x4000])[..6], [0, 0x80, 0, 0, 0x40, 0]);
}

#[test]
fn other_values_are_told_from_damage() {
    for payload in [
        "1201020a0a0000000100816102ff0a0009b9edf594ded995",
        "100d0d0000000200816102816202ff0a00d93c7f0728f0edcc",
        "110c0c00000002008162020101ff0a00be35c99dfc4fc8a5",
    ] {
        assert_eq!(decode(&from_hex(payload), LONGEST), Err(DumpError::NotAString));
    }
    for kind in [8, 30, 255] {
        assert_eq!(decode(&sealed(&[kind, 1, b'a'], 11), LONGEST), Err(DumpError::Format));
    }
}

#[test]
fn versions_and_checksums() {
    assert_eq!(decode(b"", LONGEST), Err(DumpError::VersionOrChecksum));
    assert_eq!(decode(b"\0\x01a", LONGEST), Err(DumpError::VersionOrChecksum));
    assert!(decode(&sealed(b"\0\x01a", NEWEST_VERSION), LONGEST).is_ok());
    let newer = sealed(b"\0\x01a", NEWEST_VERSION + 1);
    assert_eq!(decode(&newer, LONGEST), Err(DumpError::VersionOrChecksum));
    let payload = encode(b"value");
    for place in 0..payload.len() {
        for bit in 0..8 {
            let mut damaged = payload.clone();
            damaged[place] ^= 1 << bit;
            assert_eq!(decode(&damaged, LONGEST), Err(DumpError::VersionOrChecksum));
        }
    }
}

#[test]
fn bodies() {
    let read = |body: &[u8]| decode(&sealed(body, 11), LONGEST).map(Cow::into_owned);
    // As Redis takes them: longer lengths than needed, bytes behind, nothing packed.
    assert_eq!(read(b"\0\x01abc"), Ok(b"a".to_vec()));
    assert_eq!(read(b"\0\x80\0\0\0\x01a"), Ok(b"a".to_vec()));
    assert_eq!(read(b"\0\x81\0\0\0\0\0\0\0\x01a"), Ok(b"a".to_vec()));
    assert_eq!(read(b"\0\xc0\x05"), Ok(b"5".to_vec()));
    assert_eq!(read(b"\0\xc3\x00\x00"), Ok(b"".to_vec()));
    assert_eq!(read(b"\0\xc3\x02\x01\x00a"), Ok(b"a".to_vec()));
    for body in [
        &b""[..],
        b"\0",
        b"\0\x05ab",
        b"\0\xc4a",
        b"\0\x82a",
        b"\0\xc1a",
        b"\0\x81\x7f\0\0\0\0\0\0\x01a",
        b"\0\xc3\x02\x02\x00a",
        b"\0\xc3\x02\x00\x00a",
        b"\0\xc3\x02\x81\0\0\0\x7f\0\0\0\0\0a",
        b"\0\xc3\x03\x01\x00a",
        b"\0\xc3\xc0\x01\x00a",
    ] {
        assert_eq!(read(body), Err(DumpError::Format), "{}", body.escape_ascii());
    }
}

#[test]
fn longest() {
    assert!(decode(&encode(b"12345x"), 6).is_ok());
    assert_eq!(decode(&encode(b"12345x"), 5), Err(DumpError::Format));
    let packed = from_hex("00c30940c8016161e0bb000161610a001f99f72e01b20de3");
    assert!(decode(&packed, 200).is_ok());
    assert_eq!(decode(&packed, 199), Err(DumpError::Format));
}

proptest! {
    #[test]
    fn reads_what_it_writes(value: Vec<u8>, number: i64) {
        for value in [value, number.to_string().into_bytes()] {
            let payload = encode(&value);
            prop_assert_eq!(decode(&payload, LONGEST).map(Cow::into_owned), Ok(value));
        }
    }

    #[test]
    fn survives_any_bytes(body: Vec<u8>, packed: Vec<u8>) {
        let _ = decode(&body, LONGEST);
        let _ = decode(&sealed(&body, 11), LONGEST);
        let string = [&[0][..], &body].concat();
        let _ = decode(&sealed(&string, 11), LONGEST);
        let mut string = vec![0, COMPRESSED, packed.len().min(63) as u8, LENGTH_14 | 1, 0];
        string.extend_from_slice(&packed);
        let _ = decode(&sealed(&string, 11), LONGEST);
    }
}
