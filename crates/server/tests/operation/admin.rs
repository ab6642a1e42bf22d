//! The pages for operators.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use super::service::{PATIENCE, Service, ask};

/// What a request is answered with: the number and the text.
fn request(address: SocketAddr, request: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    // It may be refused before it is whole.
    let _ = stream.write_all(request.as_bytes());
    let mut bytes = Vec::new();
    let mut part = [0; 4096];
    while let Ok(length) = stream.read(&mut part)
        && length > 0
    {
        bytes.extend_from_slice(&part[..length]);
    }
    let answer = String::from_utf8(bytes).unwrap();
    let status = answer.split(' ').nth(1).and_then(|word| word.parse().ok()).unwrap_or(0);
    let text = answer.split_once("\r\n\r\n").map_or("", |(_, text)| text);
    (status, text.to_owned())
}

fn get(service: &Service, path: &str) -> (u16, String) {
    request(service.admin(), &format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n"))
}

/// One sample: its name, its labels but for `le`, that, and the value.
struct Sample {
    name: String,
    labels: String,
    bound: Option<f64>,
    value: f64,
}

fn parse_sample(line: &str) -> Sample {
    let (head, value) = line.rsplit_once(' ').unwrap();
    let (name, labels) = match head.split_once('{') {
        Some((name, labels)) => (name, labels.strip_suffix('}').unwrap()),
        None => (head, ""),
    };
    let (mut rest, mut bound) = (Vec::new(), None);
    for label in labels.split(',').filter(|label| !label.is_empty()) {
        let (key, quoted) = label.split_once('=').unwrap();
        let text = quoted.strip_prefix('"').unwrap().strip_suffix('"').unwrap();
        assert!(!text.contains(['"', '\\']), "{line}");
        if key == "le" {
            bound = Some(if text == "+Inf" { f64::INFINITY } else { text.parse().unwrap() });
        } else {
            rest.push(label);
        }
    }
    let (name, labels) = (name.to_owned(), rest.join(","));
    Sample { name, labels, bound, value: value.parse().unwrap() }
}

/// The suffixes of the samples of a family.
fn suffixes(kind: &str) -> &'static [&'static str] {
    match kind {
        "counter" => &["_total"],
        "gauge" => &[""],
        "info" => &["_info"],
        "histogram" => &["_sum", "_count", "_bucket"],
        _ => panic!("{kind}"),
    }
}

/// Reads a page as strictly as the format is written; returns the samples by name and labels.
fn parse(text: &str) -> BTreeMap<(String, String), f64> {
    let lines: Vec<&str> = text.strip_suffix("# EOF\n").unwrap().lines().collect();
    let (mut families, mut samples) = (BTreeSet::new(), BTreeMap::new());
    let mut buckets: BTreeMap<(String, String), Vec<(f64, f64)>> = BTreeMap::new();
    let (mut family, mut kind) = (String::new(), String::new());
    for line in lines {
        if let Some(help) = line.strip_prefix("# HELP ") {
            family = help.split(' ').next().unwrap().to_owned();
            assert!(families.insert(family.clone()), "{family} is there twice");
            kind.clear();
        } else if let Some(told) = line.strip_prefix("# TYPE ") {
            assert!(kind.is_empty(), "{line}");
            let (name, told) = told.split_once(' ').unwrap();
            assert_eq!(name, family);
            kind = told.to_owned();
        } else if let Some(unit) = line.strip_prefix("# UNIT ") {
            let (name, unit) = unit.split_once(' ').unwrap();
            assert_eq!(name, family);
            assert!(family.ends_with(&format!("_{unit}")), "{line}");
        } else {
            let sample = parse_sample(line);
            let suffix = sample.name.strip_prefix(&family).unwrap();
            assert!(suffixes(&kind).contains(&suffix), "{line} of {kind} {family}");
            assert!(sample.value >= 0.0 && sample.value.is_finite(), "{line}");
            match sample.bound {
                Some(bound) => buckets
                    .entry((family.clone(), sample.labels))
                    .or_default()
                    .push((bound, sample.value)),
                None => {
                    let before = samples.insert((sample.name, sample.labels), sample.value);
                    assert!(before.is_none(), "{line} is there twice");
                }
            }
        }
    }
    for ((family, labels), buckets) in buckets {
        assert!(buckets.is_sorted_by(|a, b| a.0 < b.0 && a.1 <= b.1), "{family} {labels}");
        let (bound, all) = *buckets.last().unwrap();
        assert!(bound.is_infinite());
        assert_eq!(samples[&(format!("{family}_count"), labels)], all, "{family}");
    }
    samples
}

#[test]
fn the_figures_can_be_read_and_are_right() {
    let service = Service::start(&[]);
    let mut stream = service.connect();
    for _ in 0..3 {
        ask(&mut stream, "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1\r\nv\r\n", "+OK\r\n");
    }
    ask(&mut stream, "*2\r\n$3\r\nGET\r\n$1\r\nk\r\n", "$1\r\nv\r\n");
    stream.write_all(b"*1\r\n$7\r\nNOTHING\r\n*1\r\n$3\r\nGET\r\n").unwrap();
    assert_eq!(stream.read(&mut [0; 5]).unwrap(), 5);
    let (status, text) = get(&service, "/metrics");
    assert_eq!(status, 200);
    let samples = parse(&text);
    let of = |name: &str, labels: &str| samples[&(name.to_owned(), labels.to_owned())];
    assert_eq!(of("aryavarth_commands_total", "command=\"set\""), 3.0);
    assert_eq!(of("aryavarth_command_duration_seconds_count", "command=\"set\""), 3.0);
    assert!(of("aryavarth_command_duration_seconds_sum", "command=\"set\"") < 3.0);
    assert!(of("aryavarth_commands_unknown_total", "") >= 1.0);
    assert_eq!(of("aryavarth_errors_total", "code=\"ERR\""), 2.0);
    assert_eq!(of("aryavarth_sync_duration_seconds_count", ""), 3.0);
    assert_eq!(of("aryavarth_batch_operations_sum", ""), 3.0);
    assert_eq!(of("aryavarth_keys", ""), 1.0);
    assert_eq!(of("aryavarth_connections", ""), 1.0);
    assert_eq!(of("aryavarth_healthy", ""), 1.0);
    assert!(of("aryavarth_network_received_bytes_total", "") > 100.0);
    assert!(of("process_resident_memory_bytes", "") > 1e6);
    assert!(!samples.keys().any(|(_, labels)| labels.contains("\"mset\"")), "it never ran");
}

#[test]
fn all_pages_are_there() {
    let service = Service::start(&[]);
    assert_eq!(get(&service, "/healthz"), (200, "serving\n".to_owned()));
    assert_eq!(get(&service, "/readyz"), (200, "serving\n".to_owned()));
    let (status, text) = get(&service, "/status");
    assert_eq!(status, 200);
    let object: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(object["phase"], "serving");
    assert_eq!(object["run_id"], *service.server().run_id);
    assert!(object["trouble"].is_null() && object["store"]["keys"] == 0);
    let (status, text) = get(&service, "/");
    assert_eq!(status, 200);
    for page in ["/healthz", "/readyz", "/metrics", "/status"] {
        assert!(text.contains(&format!("href=\"{page}\"")), "{page}");
    }
}

#[test]
fn a_failed_sync_is_told() {
    let service = Service::start(&[]);
    service.server().log_metrics.sync(Duration::from_millis(1), false);
    let reason = aryavarth_server::ask_health(service.admin()).unwrap_err().to_string();
    assert!(reason.starts_with("READONLY The store takes no writes"), "{reason}");
    for page in ["/healthz", "/readyz"] {
        let (status, text) = get(&service, page);
        assert_eq!(status, 503);
        assert!(text.starts_with("READONLY The store takes no writes"), "{text}");
    }
    let object: serde_json::Value = serde_json::from_str(&get(&service, "/status").1).unwrap();
    assert_eq!(object["trouble"]["kind"], "fenced");
    let samples = parse(&get(&service, "/metrics").1);
    assert_eq!(samples[&("aryavarth_healthy".to_owned(), String::new())], 0.0);
}

#[test]
fn bad_requests_are_refused_and_disturb_nobody() {
    let service = Service::start(&[]);
    let refused = |text: &str| request(service.admin(), text).0;
    assert_eq!(get(&service, "/nothing").0, 404);
    assert_eq!(refused("POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n"), 405);
    assert_eq!(refused("nonsense\r\n\r\n"), 400);
    let long = "x".repeat(64 << 10);
    assert_eq!(refused(&format!("GET / HTTP/1.1\r\nHost: x\r\nX-Long: {long}\r\n\r\n")), 431);
    let many = "X: y\r\n".repeat(1000);
    assert_eq!(refused(&format!("GET / HTTP/1.1\r\nHost: x\r\n{many}\r\n")), 431);
    assert_eq!(get(&service, "/healthz").0, 200);
    ask(&mut service.connect(), "*1\r\n$4\r\nPING\r\n", "+PONG\r\n");
}

#[test]
fn who_is_slow_makes_room_for_who_comes() {
    let service = Service::start(&[]);
    let slow: Vec<TcpStream> = (0..300)
        .map(|_| {
            let mut stream = TcpStream::connect(service.admin()).unwrap();
            stream.write_all(b"GET /metrics HTTP/1.1\r\nHost:").unwrap();
            stream
        })
        .collect();
    assert_eq!(get(&service, "/healthz").0, 200);
    drop(slow);
    assert_eq!(get(&service, "/healthz").0, 200);
}
