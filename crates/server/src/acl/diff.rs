use super::*;
use crate::command::table;
#[test]
fn differential() {
    let client = redis::Client::open("redis://127.0.0.1:7391/").unwrap();
    let mut con = client.get_connection().unwrap();
    let pool = ["on","off","nopass",">p","<p","resetpass","+@all","-@all","+get","-get","+set","+@read","-@write","+@dangerous","-@keyspace","+config|get","-config|get","+config","-config","+select|0","+select","-select","~a*","~b*","%R~a*","%W~b*","%RW~c","%WR~d","%W~a*","allkeys","resetkeys","&x","&*","resetchannels","(+get ~c)","(+@all %R~a)","(%W~* +@write)","clearselectors","reset","+object|encoding","+bogus","+@bogus","%~x","%RR~x","(+get","+get|x","-get|x","+config|get|x","~x ","+KEYS","nothing","+debug|sleep","-debug","", "+@fast","~[ab]?","(%R~b* +@read)","#zz","!zz","(on)","()","(~*)","+","-","~","%","&","+@","+config|"];
    let reqs = ["get a","set a v","set a v get","set b v","get b","copy a b","copy b a","rename a b","exists a","exists zz","type b","del b","del a b","mget a ab","mset a 1 b 2","msetnx a 1 b 1","bitop and a b","bitop and b a a","bitfield a get u8 0","bitfield a set u8 0 1","bitfield_ro a get u8 0","getex a","getdel b","append b x","setrange b 1 x","expire b 1","ttl a","persist b","lcs a b","object encoding a","object help","memory usage b","keys *","scan 0","select 0","select 1","config get x","config set a b","config rewrite","debug sleep 0","ping","auth x","hello","reset","quit","watch a","touch b","dump a","restore b 0 x","getset c v","incr d","strlen c","setnx c v","randomkey","flushall","multi","acl whoami","acl setuser x","client id","command","command docs","info"];
    let mut seed = 12345u64;
    let mut rnd = |n: usize| { seed ^= seed << 13; seed ^= seed >> 7; seed ^= seed << 17; (seed % n as u64) as usize };
    let (mut n, mut bad) = (0, 0);
    for _ in 0..1500 {
        let k = 1 + rnd(7);
        let rules: Vec<&str> = (0..k).map(|_| pool[rnd(pool.len())]).collect();
        let store = AclStore::new();
        let ours = store.set_user(b"alice", &rules).map_err(|e| e.to_string());
        let _: i64 = redis::cmd("ACL").arg("DELUSER").arg("alice").query(&mut con).unwrap();
        let theirs: Result<String, redis::RedisError> = redis::cmd("ACL").arg("SETUSER").arg("alice").arg(&rules).query(&mut con);
        match (&ours, &theirs) {
            (Ok(()), Ok(_)) => {}
            (Err(o), Err(t)) => { let t = t.to_string(); if !t.contains(o.as_str()) { println!("ERR {rules:?}\n  {o}\n  {t}"); bad += 1; } continue; }
            _ => { println!("RES {rules:?} {ours:?} {theirs:?}"); bad += 1; continue; }
        }
        let lines: Vec<String> = redis::cmd("ACL").arg("LIST").query(&mut con).unwrap();
        let theirs = lines.into_iter().find(|l| l.starts_with("user alice")).unwrap();
        let mine = String::from_utf8(store.get(b"alice").unwrap().line()).unwrap();
        let strip = |s: &str| -> String { let mut out = vec![]; for w in s.split(' ') { let t = w.trim_start_matches('(').trim_end_matches(')'); if t.starts_with('+') || t.starts_with('-') || t.ends_with("sanitize-payload") { if w.ends_with(')') { out.push(")"); } continue; } out.push(w); } out.join(" ") };
        if strip(&theirs) != strip(&mine) { println!("LINE {rules:?}\n  {theirs}\n  {mine}"); bad += 1; }
        // what we wrote, redis takes
        let words: Vec<&str> = mine.split(' ').skip(2).collect();
        let again: Result<String, redis::RedisError> = redis::cmd("ACL").arg("SETUSER").arg("alice2").arg("reset").arg(&words).query(&mut con);
        if again.is_err() { println!("AGAIN {mine} {again:?}"); bad += 1; }
        for req in reqs {
            let words: Vec<&str> = req.split(' ').collect();
            let o = dry_run(&store, b"alice", words.as_slice()).unwrap();
            for who in ["alice", "alice2"] {
                let t: String = redis::cmd("ACL").arg("DRYRUN").arg(who).arg(&words).query(&mut con).unwrap();
                n += 1;
                let kind = |s: &str| if s.contains("to run") { "command".to_owned() } else { s.split('\'').nth(1).unwrap_or("ok").to_owned() };
                let (o, t) = (kind(o.as_deref().unwrap_or("OK")), kind(&t));
                let o2 = if o == t { t.clone() } else if o != "ok" && t == "command" && !["a","b","c","d","zz"].contains(&o.as_str()) { t.clone() } else { o.clone() };
                if o2 != t { println!("RUN {who} {rules:?} {req}: {o} {t}"); bad += 1; if bad > 40 { panic!(); } }
            }
        }
    }
    println!("compared {n} bad {bad}");
    let _ = table::all();
}
