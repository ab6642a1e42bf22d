//! Commands that Redis has and this server has not, so that it can say what is missing rather
//! than that the name is unknown.

/// What is missing, and the commands of Redis that need it.
const KINDS: &[(&str, &str)] = &[
    (
        "lists",
        "blmove blmpop blpop brpop brpoplpush lindex linsert llen lmove lmpop lpop lpos lpush \
         lpushx lrange lrem lset ltrim rpop rpoplpush rpush rpushx",
    ),
    (
        "hashes",
        "hdel hexists hexpire hexpireat hexpiretime hget hgetall hgetdel hgetex hincrby \
         hincrbyfloat hkeys hlen hmget hmset hpersist hpexpire hpexpireat hpexpiretime hpttl \
         hrandfield hscan hset hsetex hsetnx hstrlen httl hvals",
    ),
    (
        "sets",
        "sadd scard sdiff sdiffstore sinter sintercard sinterstore sismember smembers smismember \
         smove spop srandmember srem sscan sunion sunionstore",
    ),
    (
        "sorted sets",
        "bzmpop bzpopmax bzpopmin zadd zcard zcount zdiff zdiffstore zincrby zinter zintercard \
         zinterstore zlexcount zmpop zmscore zpopmax zpopmin zrandmember zrange zrangebylex \
         zrangebyscore zrangestore zrank zrem zremrangebylex zremrangebyrank zremrangebyscore \
         zrevrange zrevrangebylex zrevrangebyscore zrevrank zscan zscore zunion zunionstore",
    ),
    (
        "streams",
        "xack xackdel xadd xautoclaim xclaim xdel xdelex xgroup xinfo xlen xpending xrange xread \
         xreadgroup xrevrange xsetid xtrim",
    ),
    ("HyperLogLogs", "pfadd pfcount pfdebug pfmerge pfselftest"),
    (
        "geospatial indexes",
        "geoadd geodist geohash geopos georadius georadius_ro georadiusbymember \
         georadiusbymember_ro geosearch geosearchstore",
    ),
    (
        "vector sets",
        "vadd vcard vdim vemb vgetattr vinfo vismember vlinks vrandmember vrange vrem vsetattr \
         vsim",
    ),
    (
        "publish/subscribe",
        "psubscribe publish pubsub punsubscribe spublish ssubscribe subscribe sunsubscribe \
         unsubscribe",
    ),
    ("scripts and functions", "eval eval_ro evalsha evalsha_ro fcall fcall_ro function script"),
    ("moving of slots by clients: shards move by themselves", "migrate restore-asking"),
    ("replication", "failover psync replconf replicaof slaveof sync"),
    ("modules", "module"),
    ("monitoring of commands", "monitor"),
    ("an append-only file beside the log", "bgrewriteaof"),
    ("more than one database", "move swapdb"),
    ("sorting", "sort sort_ro"),
];

/// What the server would need to have to know the command; none if Redis does not know it either,
/// or the server does.
pub fn absent(name: &[u8]) -> Option<&'static str> {
    let mut kinds = KINDS.iter();
    let has =
        |names: &str| names.split(' ').any(|other| other.as_bytes().eq_ignore_ascii_case(name));
    kinds.find(|(_, names)| has(names)).map(|(kind, _)| *kind)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::table;

    #[test]
    fn names_what_is_missing() {
        assert_eq!(absent(b"LPUSH"), Some("lists"));
        assert_eq!(absent(b"hset"), Some("hashes"));
        assert_eq!(absent(b"sort"), Some("sorting"));
        assert_eq!(absent(b"replicaof"), Some("replication"));
        assert_eq!(absent(b"get"), None);
        assert_eq!(absent(b"nothing"), None);
    }

    #[test]
    fn what_is_there_is_not_absent() {
        for (_, names) in KINDS {
            for name in names.split(' ') {
                assert!(table::find(name.as_bytes()).is_none(), "{name}");
            }
        }
    }
}
