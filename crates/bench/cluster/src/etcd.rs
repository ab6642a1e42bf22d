//! A client of etcd: puts and linearizable gets, over a channel of its own.
//!
//! Client i begins at endpoint i modulo their number, and goes on to the next when a call fails. Whether a
//! call that failed was carried out is not known, so all of them count as lost.

use std::time::{Duration, Instant};

use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status};

use crate::load::{Client, Request};
use crate::options::Options;
use crate::tally::Tally;

use proto::kv_client::KvClient;
use proto::{PutRequest, RangeRequest};

/// What `build.rs` makes of `proto/etcd.proto`.
#[allow(clippy::all, reason = "it is generated")]
mod proto {
    tonic::include_proto!("etcdserverpb");
}

/// Before a call that failed is tried again.
const PAUSE: Duration = Duration::from_millis(10);

pub struct EtcdClient {
    channels: Vec<KvClient<Channel>>,
    current: usize,
    timeout: Duration,
    patience: Duration,
}

/// What came of a call.
enum Called {
    Done,
    Missing,
}

impl EtcdClient {
    pub fn new(options: &Options, number: usize) -> Result<EtcdClient, String> {
        let channel = |endpoint: &String| {
            let uri = format!("http://{endpoint}");
            let endpoint = Endpoint::from_shared(uri).map_err(|error| error.to_string())?;
            let endpoint = endpoint.connect_timeout(options.timeout()).tcp_nodelay(true);
            Ok(KvClient::new(endpoint.connect_lazy()))
        };
        let channels: Vec<_> =
            options.endpoints.iter().map(channel).collect::<Result<_, String>>()?;
        let current = number % channels.len();
        let (timeout, patience) = (options.timeout(), options.patience());
        Ok(EtcdClient { channels, current, timeout, patience })
    }

    async fn call(&mut self, request: &Request) -> Result<Called, Status> {
        let channel = &mut self.channels[self.current];
        let key = request.key.clone().into();
        let call = async {
            match &request.value {
                Some(value) => {
                    channel.put(PutRequest { key, value: value.clone().into() }).await?;
                    Ok(Called::Done)
                }
                None => {
                    let range = RangeRequest { key, ..RangeRequest::default() };
                    let found = channel.range(range).await?.into_inner();
                    Ok(if found.kvs.is_empty() { Called::Missing } else { Called::Done })
                }
            }
        };
        let in_time = tokio::time::timeout(self.timeout, call).await;
        in_time.unwrap_or_else(|_| Err(Status::deadline_exceeded("no answer in time")))
    }

    /// Whether the call succeeded at last.
    async fn persist(&mut self, request: &Request, tally: &mut Tally) -> bool {
        let begun = Instant::now();
        loop {
            let status = match self.call(request).await {
                Ok(Called::Done) => return true,
                Ok(Called::Missing) => {
                    tally.missing += 1;
                    return true;
                }
                Err(status) => status,
            };
            let passes = matches!(
                status.code(),
                Code::Unavailable
                    | Code::DeadlineExceeded
                    | Code::Cancelled
                    | Code::Unknown
                    | Code::Internal
                    | Code::ResourceExhausted
            );
            if !passes || begun.elapsed() > self.patience {
                tally.fail(1, format!("{:?}: {}", status.code(), status.message()));
                return false;
            }
            tally.lost += 1;
            self.current = (self.current + 1) % self.channels.len();
            tokio::time::sleep(PAUSE).await;
        }
    }
}

impl Client for EtcdClient {
    async fn carry_out(&mut self, batch: &[Request], tally: &mut Tally) -> usize {
        let mut done = 0;
        for request in batch {
            done += usize::from(self.persist(request, tally).await);
        }
        done
    }
}
