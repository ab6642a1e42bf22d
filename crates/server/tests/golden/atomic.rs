//! What reads several keys sees them at one moment, whoever writes meanwhile.

use aryavarth_script::Reply;

use crate::client::Client;
use crate::host::Host;

fn words(words: &[&[u8]]) -> Vec<Vec<u8>> {
    words.iter().map(|word| word.to_vec()).collect()
}

fn call(client: &mut Client, request: &[&[u8]]) -> Reply {
    client.call(&words(request))
}

fn host(durability: &str) -> Host {
    let mut host = Host::new();
    host.set("durability", durability);
    host.set("io-threads", "2");
    host
}

/// Has `read` called again and again while another client gives two keys the same new value.
fn while_both_change(
    durability: &str,
    rounds: u32,
    length: usize,
    mut read: impl FnMut(&mut Client),
) {
    let mut host = host(durability);
    let socket = host.socket();
    let mut reader = Client::connect(&socket);
    // Connections go to the workers in turn.
    let writer = std::thread::spawn(move || {
        let mut writer = Client::connect(&socket);
        for round in 0..rounds {
            let value = round.to_string().repeat(length);
            call(&mut writer, &[b"MSET", b"a", value.as_bytes(), b"b", value.as_bytes()]);
        }
    });
    while !writer.is_finished() {
        read(&mut reader);
    }
    writer.join().unwrap();
    drop(reader);
    host.stop();
}

fn both_are_the_same(reader: &mut Client) {
    let Reply::Array(values) = call(reader, &[b"MGET", b"a", b"b"]) else { panic!("no array") };
    let [one, other] = &values[..] else { panic!("not two: {values:?}") };
    assert_eq!(format!("{one:?}"), format!("{other:?}"));
}

#[test]
fn mget_sees_one_moment() {
    while_both_change("os", 20_000, 1, both_are_the_same);
    while_both_change("always", 200, 1, both_are_the_same);
}

#[test]
fn long_combinations_see_one_moment() {
    for durability in ["os", "always"] {
        while_both_change(durability, 60, 1 << 20, |reader| {
            // Again and again, so that there is time to be interrupted.
            let mut request: Vec<&[u8]> = vec![b"BITOP", b"XOR", b"d"];
            request.extend([b"a".as_slice(); 5]);
            request.extend([b"b".as_slice(); 5]);
            call(reader, &request);
            let Reply::Integer(bits) = call(reader, &[b"BITCOUNT", b"d"]) else {
                panic!("no number")
            };
            assert_eq!(bits, 0);
        });
    }
}
