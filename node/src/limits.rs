//! The flags that bound what clients may cost this machine.

use std::net::IpAddr;

use assay_rpc::{CallLimits, ServerOptions};
use clap::Args;

/// Bytes of a mebibyte.
const MIB: u32 = 1 << 20;

/// Bounds on requests, answers and the work of one call.
#[derive(Args)]
#[command(next_help_heading = "RPC limits")]
pub(crate) struct RpcLimits {
    /// Most MiB of a request, batches included.
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=1_024))]
    rpc_request_mib: u32,
    /// Most MiB of an answer.
    #[arg(long, default_value_t = 128, value_parser = clap::value_parser!(u32).range(1..=1_024))]
    rpc_response_mib: u32,
    /// Most requests in a batch.
    #[arg(long, default_value_t = 10_000)]
    rpc_batch: u32,
    /// Most connections at a time.
    #[arg(long, default_value_t = 2_048)]
    rpc_connections: u32,
    /// Most gas of eth_call and other simulated messages.
    #[arg(long, default_value_t = CallLimits::default().gas)]
    rpc_call_gas: u64,
    /// Most blocks a log query may walk.
    #[arg(long, default_value_t = CallLimits::default().log_blocks)]
    rpc_log_blocks: u64,
    /// Most logs one answer may hold.
    #[arg(long, default_value_t = CallLimits::default().logs)]
    rpc_logs: usize,
    /// Most blocks one trace_filter may execute again.
    #[arg(long, default_value_t = CallLimits::default().trace_blocks)]
    rpc_trace_blocks: u64,
}

impl RpcLimits {
    /// Bounds the server at an address.
    pub(crate) fn server(&self, host: IpAddr, port: u16) -> ServerOptions {
        ServerOptions {
            max_request_bytes: self.rpc_request_mib.saturating_mul(MIB),
            max_response_bytes: self.rpc_response_mib.saturating_mul(MIB),
            max_batch: self.rpc_batch,
            max_connections: self.rpc_connections,
            ..ServerOptions::new((host, port).into())
        }
    }

    /// Bounds the work of one call.
    pub(crate) fn calls(&self) -> CallLimits {
        CallLimits {
            gas: self.rpc_call_gas,
            log_blocks: self.rpc_log_blocks,
            logs: self.rpc_logs,
            trace_blocks: self.rpc_trace_blocks,
            ..CallLimits::default()
        }
    }
}
