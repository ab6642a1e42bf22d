//! Clients with TLS.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use aryavarth_server::signals::Signal;
use redis::{ClientTlsConfig, Commands, TlsCertificates};
use rustls::version::{TLS12, TLS13};
use rustls::{ALL_VERSIONS, ClientConfig, ClientConnection, StreamOwned};

use super::certificates::{Authority, Files, Identity, client};
use super::service::{Service, ask, connect, eventually, is_closed, write};

const PING: &str = "*1\r\n$4\r\nPING\r\n";
const PONG: &str = "+PONG\r\n";

type Stream = StreamOwned<ClientConnection, TcpStream>;

/// A server with TLS, and who signed its certificate.
struct Secure {
    service: Service,
    files: Files,
    authority: Authority,
}

impl Secure {
    fn start(settings: &[(&str, &str)]) -> Secure {
        let authority = Authority::new();
        let files = Files::new(&authority.sign(), &authority);
        let service = start(&files, settings).unwrap();
        Secure { service, files, authority }
    }

    fn open(&self, config: Arc<ClientConfig>) -> Stream {
        open(self.service.tls_port, config)
    }

    /// A client without a certificate that speaks everything.
    fn plain(&self) -> Arc<ClientConfig> {
        client(&self.authority, None, ALL_VERSIONS)
    }

    fn redis(&self, identity: Option<&Identity>) -> redis::Connection {
        let certificates = TlsCertificates {
            client_tls: identity.map(|identity| ClientTlsConfig {
                client_cert: identity.certificate.clone().into_bytes(),
                client_key: identity.key.clone().into_bytes(),
            }),
            root_cert: Some(self.authority.pem.clone().into_bytes()),
        };
        let address = format!("rediss://127.0.0.1:{}", self.service.tls_port);
        let client = redis::Client::build_with_tls(address, certificates).unwrap();
        client.get_connection().unwrap()
    }
}

fn start(files: &Files, others: &[(&str, &str)]) -> Result<Service, aryavarth_server::Error> {
    let settings = files.settings(others);
    let settings: Vec<(&str, &str)> =
        settings.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    Service::try_start(&settings)
}

fn open(port: u16, config: Arc<ClientConfig>) -> Stream {
    let session = ClientConnection::new(config, "localhost".try_into().unwrap()).unwrap();
    StreamOwned::new(session, connect(port))
}

/// Whether a client is served.
fn is_served(stream: &mut Stream) -> bool {
    let mut reply = [0; PONG.len()];
    let asked = stream.write_all(PING.as_bytes()).and_then(|()| stream.read_exact(&mut reply));
    asked.is_ok() && reply == PONG.as_bytes()
}

const NO_CERTIFICATES: [(&str, &str); 1] = [("tls-auth-clients", "no")];

#[test]
fn both_versions_are_spoken_unless_the_settings_say_otherwise() {
    let secure = Secure::start(&NO_CERTIFICATES);
    for version in [&TLS12, &TLS13] {
        let mut stream = secure.open(client(&secure.authority, None, &[version]));
        assert!(is_served(&mut stream), "{version:?}");
        assert_eq!(stream.conn.protocol_version(), Some(version.version));
    }
    secure.service.set("tls-protocols", "TLSv1.3").unwrap();
    assert!(!is_served(&mut secure.open(client(&secure.authority, None, &[&TLS12]))));
    assert!(is_served(&mut secure.open(client(&secure.authority, None, &[&TLS13]))));
}

#[test]
fn certificates_of_clients_are_asked_for_as_the_settings_say() {
    let other = Authority::new();
    for (asked, without, with, strange) in
        [("yes", false, true, false), ("optional", true, true, false), ("no", true, true, true)]
    {
        let secure = Secure::start(&[("tls-auth-clients", asked)]);
        let (known, unknown) = (secure.authority.sign(), other.sign());
        for version in [&TLS12, &TLS13] {
            let serves = |identity| {
                is_served(&mut secure.open(client(&secure.authority, identity, &[version])))
            };
            assert_eq!(serves(None), without, "{asked} {version:?}");
            assert_eq!(serves(Some(&known)), with, "{asked} {version:?}");
            assert_eq!(serves(Some(&unknown)), strange, "{asked} {version:?}");
        }
        let mut redis = secure.redis(Some(&known));
        redis.set::<_, _, ()>("k", "v").unwrap();
        assert_eq!(redis.get::<_, String>("k").unwrap(), "v");
    }
}

#[test]
fn a_client_that_trusts_others_goes_and_the_rest_stay() {
    let secure = Secure::start(&NO_CERTIFICATES);
    let mut stream = secure.open(secure.plain());
    assert!(is_served(&mut stream));
    let stranger = client(&Authority::new(), None, ALL_VERSIONS);
    assert!(!is_served(&mut secure.open(stranger)));
    assert!(is_served(&mut stream));
}

#[test]
fn new_certificates_are_for_new_connections_and_broken_ones_for_none() {
    let secure = Secure::start(&NO_CERTIFICATES);
    let shown = |secure: &Secure| {
        let mut stream = secure.open(secure.plain());
        assert!(is_served(&mut stream));
        stream.conn.peer_certificates().unwrap()[0].clone().into_owned()
    };
    let mut old = secure.open(secure.plain());
    assert!(is_served(&mut old));

    let second = secure.authority.sign();
    secure.files.put(&second);
    secure.service.server().heed(Signal::Reload);
    assert_eq!(shown(&secure), second.der());

    // Named again, the file is read again.
    let third = secure.authority.sign();
    secure.files.put(&third);
    let path = secure.files.certificate().display().to_string();
    secure.service.set("tls-cert-file", &path).unwrap();
    assert_eq!(shown(&secure), third.der());

    write(&secure.files.key(), &second.key);
    let refused = secure.service.set("tls-cert-file", &path).unwrap_err().to_string();
    let key = secure.files.key().display().to_string();
    assert_eq!(
        refused,
        format!(
            "ERR CONFIG SET failed (possibly related to argument 'tls-key-file') - \
             {key}: not the key of the certificate in {path}"
        )
    );
    secure.service.server().heed(Signal::Reload);
    write(&secure.files.certificate(), "nothing");
    secure.service.server().heed(Signal::Reload);
    assert_eq!(shown(&secure), third.der());
    assert!(is_served(&mut old));
}

#[test]
fn a_server_does_not_start_on_wrong_files_and_says_which() {
    let authority = Authority::new();
    let files = Files::new(&authority.sign(), &authority);
    let refusal = |files: &Files| start(files, &[]).err().unwrap().to_string();
    let (certificate, key, ca) = (files.certificate(), files.key(), files.authority());

    write(&ca, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    assert!(refusal(&files).starts_with(&format!("{}: holds a certificate", ca.display())));
    write(&ca, "");
    let missing = format!("{}: no certificate in PEM is in it", ca.display());
    assert_eq!(refusal(&files), missing);
    write(&key, &authority.sign().key);
    let stranger =
        format!("{}: not the key of the certificate in {}", key.display(), certificate.display());
    write(&ca, &authority.pem);
    assert_eq!(refusal(&files), stranger);
    write(&key, &authority.sign().certificate);
    assert!(refusal(&files).contains("server.key: no private key without a password in PEM"));
    write(&certificate, "-----BEGIN CERTIFICATE-----\nAAAA\n");
    assert!(refusal(&files).contains("server.crt: not PEM: "));
    rustix::fs::unlink(&certificate).unwrap();
    assert!(refusal(&files).contains("server.crt: cannot be read: No such file"));
}

#[test]
fn an_expired_certificate_is_shown_all_the_same() {
    let authority = Authority::new();
    let files = Files::new(&authority.sign_expired(), &authority);
    let service = start(&files, &NO_CERTIFICATES).unwrap();
    // 2020-01-01.
    assert_eq!(service.server().tls.expires(), Some(Duration::from_secs(1_577_836_800)));
}

#[test]
fn large_values_go_both_ways() {
    let secure = Secure::start(&NO_CERTIFICATES);
    let mut redis = secure.redis(None);
    let value: Vec<u8> =
        (0..10 << 20).map(|n: u32| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    for _ in 0..3 {
        redis.set::<_, _, ()>("large", &value).unwrap();
        assert!(redis.get::<_, Vec<u8>>("large").unwrap() == value);
    }
}

#[test]
fn who_takes_replies_slowly_gets_them_all() {
    let secure = Secure::start(&NO_CERTIFICATES);
    let value = "x".repeat(1 << 20);
    secure.redis(None).set::<_, _, ()>("k", &value).unwrap();
    for version in [&TLS12, &TLS13] {
        let mut stream = secure.open(client(&secure.authority, None, &[version]));
        let count = 24;
        stream.write_all("*2\r\n$3\r\nGET\r\n$1\r\nk\r\n".repeat(count).as_bytes()).unwrap();
        let expected = count * (value.len() + format!("${}\r\n\r\n", value.len()).len());
        let (mut have, mut bytes) = (0, vec![0; 48 << 10]);
        let mut reads = 0;
        while have < expected {
            have += stream.read(&mut bytes).unwrap();
            reads += 1;
            // Long enough for everything between the two to be full.
            if reads % 200 == 0 {
                std::thread::sleep(Duration::from_millis(20));
            }
        }
        assert_eq!(have, expected);
        assert!(is_served(&mut stream));
    }
}

#[test]
fn what_was_sent_before_the_end_is_answered() {
    let secure = Secure::start(&NO_CERTIFICATES);
    let count = 10_000;
    let request = "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1\r\nv\r\n*2\r\n$3\r\nGET\r\n$1\r\nk\r\n";
    let (requests, replies) = (request.repeat(count), "+OK\r\n$1\r\nv\r\n".repeat(count));
    for version in [&TLS12, &TLS13] {
        let mut stream = secure.open(client(&secure.authority, None, &[version]));
        stream.write_all(requests.as_bytes()).unwrap();
        stream.conn.send_close_notify();
        stream.conn.complete_io(&mut stream.sock).unwrap();
        let mut answered = Vec::new();
        stream.read_to_end(&mut answered).unwrap();
        assert!(answered == replies.as_bytes(), "{} bytes", answered.len());
    }
    // Without TLS, and with TLS when the client says no goodbye.
    let mut stream = secure.service.connect();
    stream.write_all(requests.as_bytes()).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let mut answered = Vec::new();
    stream.read_to_end(&mut answered).unwrap();
    assert!(answered == replies.as_bytes());
    let mut stream = secure.open(secure.plain());
    stream.write_all(requests.as_bytes()).unwrap();
    stream.sock.shutdown(Shutdown::Write).unwrap();
    let mut answered = Vec::new();
    stream.read_to_end(&mut answered).unwrap();
    assert!(answered == replies.as_bytes());
    eventually("all have gone", || secure.service.server().clients.count() == 0);
}

#[test]
fn a_handshake_may_come_byte_by_byte() {
    let secure = Secure::start(&NO_CERTIFICATES);
    let mut session =
        ClientConnection::new(secure.plain(), "localhost".try_into().unwrap()).unwrap();
    let mut hello = Vec::new();
    session.write_tls(&mut hello).unwrap();
    let mut tcp = connect(secure.service.tls_port);
    tcp.set_nodelay(true).unwrap();
    for byte in hello {
        tcp.write_all(&[byte]).unwrap();
    }
    ask(&mut StreamOwned::new(session, tcp), PING, PONG);
}

#[test]
fn who_never_says_who_it_is_has_to_go() {
    let secure = Secure::start(&[NO_CERTIFICATES[0], ("auth-timeout", "300ms")]);
    let mut known = secure.open(secure.plain());
    assert!(is_served(&mut known));
    // Nothing, or the start of a handshake.
    let mut silent = connect(secure.service.tls_port);
    let mut slow = connect(secure.service.tls_port);
    slow.write_all(&[0x16, 0x03, 0x01, 0x02, 0x00]).unwrap();
    assert!(is_closed(&mut silent) && is_closed(&mut slow));
    std::thread::sleep(Duration::from_millis(300));
    assert!(is_served(&mut known));
}

#[test]
fn who_has_to_log_in_and_does_not_has_to_go() {
    let service = Service::start(&[("auth-timeout", "300ms"), ("requirepass", "secret")]);
    let mut stream = service.connect();
    stream.write_all(PING.as_bytes()).unwrap();
    assert!(is_closed(&mut stream));
    let service = Service::start(&[("auth-timeout", "100ms")]);
    let mut stream = service.connect();
    std::thread::sleep(Duration::from_millis(500));
    ask(&mut stream, PING, PONG);
}

#[test]
fn who_mistakes_the_port_is_told_at_once() {
    let secure = Secure::start(&NO_CERTIFICATES);
    let mut plain = connect(secure.service.tls_port);
    plain.write_all(PING.as_bytes()).unwrap();
    let mut alert = Vec::new();
    plain.read_to_end(&mut alert).unwrap();
    assert_eq!(alert.first(), Some(&0x15), "an alert: {alert:?}");
    let mut encrypted = open(secure.service.port, secure.plain());
    encrypted.sock.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    let error = encrypted.write_all(PING.as_bytes()).unwrap_err();
    assert_ne!(error.kind(), ErrorKind::WouldBlock);
}
