//! The examples under the help of each command, to be copied and changed.

/// Of `set`.
pub const SET: &str = "\
Examples:
  aryavarth set username john
  aryavarth set session:7 token --ttl 30m
  aryavarth set photo --file photo.jpg
  date | aryavarth set built -
  aryavarth set lock me --if-absent || echo taken";

/// Of `get`.
pub const GET: &str = "\
Examples:
  aryavarth get username
  aryavarth get photo --output photo.jpg
  aryavarth get username --json
  aryavarth --addr 127.0.0.1:6379 get username";

/// Of `rm`.
pub const RM: &str = "\
Examples:
  aryavarth rm username
  aryavarth rm session:7 session:8";

/// Of `list`.
pub const LIST: &str = "\
Examples:
  aryavarth list
  aryavarth list --prefix session: --values
  aryavarth list --limit 10 --json";

/// Of `count`.
pub const COUNT: &str = "\
Examples:
  aryavarth count
  aryavarth count --prefix session:";

/// Of `stats`.
pub const STATS: &str = "\
Examples:
  aryavarth stats
  aryavarth stats --json | jq .live_bytes";

/// Of `verify`.
pub const VERIFY: &str = "\
Examples:
  aryavarth verify && echo intact
  aryavarth --dir /backups/monday verify";

/// Of `compact`.
pub const COMPACT: &str = "\
Examples:
  aryavarth compact
  aryavarth compact --budget 64MiB";

/// Of `backup`.
pub const BACKUP: &str = "\
The store in --dir must not be in use: a server makes backups of its store itself, when BGSAVE asks.
On the same file system a backup takes no time and no space: it shares the files, which never
change, with the store. For a copy that survives the disk, name a directory on another one.

Examples:
  aryavarth backup /backups/monday";

/// Of `restore`.
pub const RESTORE: &str = "\
Examples:
  aryavarth --dir /var/lib/new restore /backups/monday";

/// Of `import`.
pub const IMPORT: &str = "\
Examples:
  aryavarth import users.jsonl
  aryavarth import words.txt     # the first line is the value of key 1, and so on
  sort users.tsv | aryavarth import - --format tsv
  aryavarth import users.tsv --durability os && aryavarth verify
  aryavarth --addr 127.0.0.1:6379 import users.jsonl
  aryavarth --dir store import --from redis://127.0.0.1:6379
  aryavarth --dir store import --from redis://127.0.0.1:6379/2 --match 'session:*'

With --from, strings are copied with the instants at which they expire, while the source goes on
serving. Keys of other types are counted and left out, with a warning; --strict makes that exit
code 9. Copying again is harmless. The password of the source may be in the variable
ARYAVARTH_FROM_PASSWORD.";

/// Of `export`.
pub const EXPORT: &str = "\
Examples:
  aryavarth export all.jsonl
  aryavarth export - --format tsv | sort
  aryavarth export saved.jsonl --skip-damaged";

/// Of `log`.
pub const LOG: &str = "\
Examples:
  aryavarth log | tail
  aryavarth log --physical --limit 1";

/// Of `bench`.
pub const BENCH: &str = "\
Examples:
  aryavarth --dir /mnt/disk bench
  aryavarth bench --keys 1000000 --value 1024 --threads 8";

/// Of `completions`.
pub const COMPLETIONS: &str = "\
Examples:
  aryavarth completions bash > ~/.local/share/bash-completion/completions/aryavarth
  aryavarth completions zsh > ~/.zfunc/_aryavarth
  aryavarth completions fish > ~/.config/fish/completions/aryavarth.fish";

/// Of `cli`.
pub const CLI: &str = "\
At the prompt, TAB completes names of commands, grey text shows what they take, `help SET` tells
more, and `3 PING` sends a command three times. Lines are remembered in
$XDG_STATE_HOME/aryavarth/history (or ~/.local/state), but for those with passwords.

Without a terminal, each line of standard input is a command, and replies are printed as they are.
The exit code is 1 if a reply was an error.

Examples:
  aryavarth cli
  aryavarth --addr db.example:6379 cli SET username john EX 60
  aryavarth cli --repeat forever --interval 1s INFO keyspace
  aryavarth cli -x SET photo < photo.jpg
  printf 'SET a 1\\nGET a\\n' | aryavarth cli
  aryavarth --json cli -3 HELLO 3";

/// Of `cluster start`.
pub const CLUSTER_START: &str = "\
Examples:
  aryavarth cluster start --nodes 3 --dir /tmp/c
  redis-cli -c -p 7001 set user:1 alice
  aryavarth cluster status --addr 127.0.0.1:7002";
