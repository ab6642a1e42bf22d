//! `INFO`: the process, who is connected to it, what memory and processor time it takes.

use super::{Page, human};
use crate::identity::{REDIS_VERSION, VERSION};
use crate::server::Server;
use crate::{clock, machine, metrics, process};

/// How often a worker looks after its connections, in a second.
const TICKS: u32 = 10;
const SECONDS_A_DAY: u64 = 24 * 60 * 60;

/// `# Server`
pub(super) fn server(page: &mut Page, server: &Server) {
    let config = server.config.current();
    let up = clock::monotonic().saturating_sub(server.started).as_secs();
    page.heading("Server");
    page.line("redis_version", REDIS_VERSION);
    page.line("aryavarth_version", VERSION);
    page.line("redis_git_sha1", "00000000");
    page.line("redis_git_dirty", 0);
    page.line("redis_build_id", 0);
    let mode = if server.cluster.is_some() { "cluster" } else { "standalone" };
    page.line("redis_mode", mode);
    page.line("os", machine::system());
    page.line("arch_bits", usize::BITS);
    page.line("monotonic_clock", "POSIX clock_gettime");
    page.line("multiplexing_api", if cfg!(target_os = "linux") { "epoll" } else { "kqueue" });
    page.line("process_id", std::process::id());
    page.line("process_supervised", "no");
    page.line("run_id", &server.run_id);
    page.line("tcp_port", config.port);
    page.line("server_time_usec", clock::wall().as_micros());
    page.line("uptime_in_seconds", up);
    page.line("uptime_in_days", up / SECONDS_A_DAY);
    page.line("hz", TICKS);
    page.line("configured_hz", TICKS);
    page.line("lru_clock", clock::wall().as_secs() & 0xff_ffff);
    page.line("executable", machine::executable().display());
    page.line("config_file", server.config.file().unwrap_or("".as_ref()).display());
    page.line("io_threads_active", u8::from(server.workers().len() > 1));
    page.line("aryavarth_workers", server.workers().len());
    for (number, address) in server.addresses().iter().enumerate() {
        page.line(&format!("listener{number}"), listener(address));
    }
}

/// An address as Redis tells of its listeners.
fn listener(address: &str) -> String {
    match address.rsplit_once(':').filter(|_| !address.starts_with('/')) {
        Some((host, port)) => {
            format!("name=tcp,bind={},port={port}", host.trim_matches(['[', ']']))
        }
        None => format!("name=unix,bind={address}"),
    }
}

/// `# Clients`
pub(super) fn clients(page: &mut Page, server: &Server) {
    let all = server.clients.all();
    let most = |of: fn(&crate::clients::Client) -> &std::sync::atomic::AtomicUsize| {
        let load = |client| of(client).load(std::sync::atomic::Ordering::Relaxed);
        all.iter().map(|client| load(&**client)).max().unwrap_or(0)
    };
    page.heading("Clients");
    page.line("connected_clients", server.clients.count());
    page.line("cluster_connections", 0);
    page.line("maxclients", server.config.hot().max_clients());
    page.line("client_recent_max_input_buffer", most(|client| &client.input));
    page.line("client_recent_max_output_buffer", most(|client| &client.output));
    page.line("blocked_clients", 0);
    page.line("tracking_clients", 0);
    page.line("clients_in_timeout_table", 0);
    page.line("total_blocking_keys", 0);
    page.line("total_blocking_keys_on_nokey", 0);
}

/// `# Memory`
pub(super) fn memory(page: &mut Page, server: &Server) {
    let store = server.store.stats();
    let clients = server.memory.total() as u64;
    let used = store.index_bytes + clients;
    let (resident, peak) = (process::resident_memory(), process::peak_memory());
    page.heading("Memory");
    page.bytes("used_memory", used);
    page.bytes("used_memory_rss", resident);
    page.bytes("used_memory_peak", peak.max(used));
    page.line("used_memory_peak_perc", percent(used, peak.max(used)));
    page.line("used_memory_overhead", used);
    page.line("used_memory_startup", 0);
    page.line("used_memory_dataset", 0);
    page.line("used_memory_dataset_perc", percent(0, used));
    page.line("allocator_allocated", used);
    page.line("allocator_active", resident);
    page.line("allocator_resident", resident);
    page.bytes("total_system_memory", machine::total_memory());
    page.bytes("used_memory_lua", 0);
    page.bytes("used_memory_scripts", 0);
    page.line("number_of_cached_scripts", 0);
    page.line("number_of_functions", 0);
    page.line("number_of_libraries", 0);
    page.bytes("maxmemory", 0);
    page.line("maxmemory_policy", "noeviction");
    page.line("mem_fragmentation_ratio", ratio(resident, used));
    page.line("mem_fragmentation_bytes", resident.saturating_sub(used));
    page.line("mem_not_counted_for_evict", 0);
    page.line("mem_replication_backlog", 0);
    page.line("mem_clients_slaves", 0);
    page.line("mem_clients_normal", clients);
    page.line("mem_aof_buffer", 0);
    page.line("mem_allocator", "libc");
    page.line("active_defrag_running", 0);
    page.line("lazyfree_pending_objects", 0);
    page.line("lazyfreed_objects", 0);
    let mapped = process::mapped_files();
    page.line("aryavarth_mapped_log_bytes", mapped);
    page.line("aryavarth_mapped_log_human", human(mapped));
    page.line("aryavarth_index_bytes", store.index_bytes);
    page.line("aryavarth_index_human", human(store.index_bytes));
}

fn percent(part: u64, whole: u64) -> String {
    let whole = whole.max(1) as f64;
    format!("{:.2}%", 100.0 * part as f64 / whole)
}

fn ratio(part: u64, whole: u64) -> String {
    format!("{:.2}", part as f64 / whole.max(1) as f64)
}

/// `# CPU`
pub(super) fn processor(page: &mut Page, _: &Server) {
    let time = process::processor_time();
    page.heading("CPU");
    page.line("used_cpu_sys", format_args!("{:.6}", time.system.as_secs_f64()));
    page.line("used_cpu_user", format_args!("{:.6}", time.user.as_secs_f64()));
    page.line("used_cpu_sys_children", "0.000000");
    page.line("used_cpu_user_children", "0.000000");
}

/// The value below which a part of what a histogram counted is, taken as even within each bucket.
pub(super) fn percentile(buckets: &[u64], part: f64) -> f64 {
    let total: u64 = buckets.iter().sum();
    let (wanted, mut below) = (part * total as f64, 0.0);
    for (bucket, count) in buckets.iter().enumerate().take(metrics::BUCKETS) {
        let count = *count as f64;
        if count > 0.0 && below + count >= wanted {
            let end = 2f64.powi(bucket as i32);
            let start = if bucket == 0 { 0.0 } else { end / 2.0 };
            return start + (end - start) * ((wanted - below) / count).clamp(0.0, 1.0);
        }
        below += count;
    }
    0.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listeners_are_told_as_in_redis() {
        assert_eq!(listener("[::1]:7201"), "name=tcp,bind=::1,port=7201");
        assert_eq!(listener("/run/a:b.sock"), "name=unix,bind=/run/a:b.sock");
    }

    #[test]
    fn percentiles_are_within_their_bucket() {
        let mut buckets = vec![0; metrics::BUCKETS];
        assert_eq!(percentile(&buckets, 0.5), 0.0);
        buckets[11] = 100;
        assert_eq!(percentile(&buckets, 0.5), 1536.0);
        buckets[13] = 1;
        assert!((4096.0..=8192.0).contains(&percentile(&buckets, 0.999)));
        assert!((1024.0..=2048.0).contains(&percentile(&buckets, 0.99)));
    }
}
