//! Begins traces, and bounds how many run and how long.

use std::fmt;
use std::io;
use std::net::IpAddr;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use tftp_ebpf::abi::trace::TRACE_SLOTS;
use tokio::sync::mpsc::{Receiver, channel};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::interfaces::Interfaces;
use super::session::{Bounds, Session};
use super::tap::Tap;
use super::told::Told;
use crate::inventory::DeviceName;
use crate::kernel::{self, Kernel};
use crate::ops::exit::Exit;
use crate::service::capabilities::{self, Role, settle};

/// Traces that may run at once.
pub const TRACES: usize = TRACE_SLOTS;

/// What is told and not yet read: with frames of 1500 bytes, some 16 MiB.
const TOLD_MAX: usize = 4096;

/// Bytes of frames that a trace may tell.
const BYTES_MAX: u64 = 1 << 30;

/// Where a device is, as far as anybody knows. Must not wait for anything.
pub type Addresses = Arc<dyn Fn(&DeviceName) -> Vec<IpAddr> + Send + Sync>;

/// Whose packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    Address(IpAddr),
    Device(DeviceName),
}

impl fmt::Display for Target {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => address.fmt(formatter),
            Self::Device(device) => device.fmt(formatter),
        }
    }
}

impl FromStr for Target {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Ok(address) = text.parse::<IpAddr>() {
            return Ok(Self::Address(address.to_canonical()));
        }
        let device = text.parse().map(Self::Device);
        device.map_err(|_| "expected a device's name (SEP and its MAC address) or an IP address")
    }
}

impl Serialize for Target {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Target {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from)?
            .parse()
            .map_err(de::Error::custom)
    }
}

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Order {
    pub target: Target,
    #[serde(default = "Order::default_seconds")]
    pub seconds: u64,
    #[serde(default = "Order::default_packets")]
    pub packets: u64,
    /// Whether the frames are told too: passwords may be in them.
    #[serde(default)]
    pub frames: bool,
}

impl Order {
    pub const SECONDS: u64 = 60;
    pub const SECONDS_MAX: u64 = 3_600;
    pub const PACKETS: u64 = 10_000;
    pub const PACKETS_MAX: u64 = 1_000_000;

    fn default_seconds() -> u64 {
        Self::SECONDS
    }

    fn default_packets() -> u64 {
        Self::PACKETS
    }

    fn bounds(&self) -> Result<Bounds, TraceError> {
        if !(1..=Self::SECONDS_MAX).contains(&self.seconds) {
            return Err(TraceError::Seconds(self.seconds));
        }
        if !(1..=Self::PACKETS_MAX).contains(&self.packets) {
            return Err(TraceError::Packets(self.packets));
        }
        Ok(Bounds {
            time: Duration::from_secs(self.seconds),
            packets: self.packets,
            bytes: BYTES_MAX,
        })
    }
}

/// Why there is no trace.
#[derive(Debug, thiserror::Error)]
pub enum TraceError {
    #[error("{TRACES} traces run already; wait for one to end")]
    Busy,
    #[error("a trace of {0} seconds: it may run for 1 to {max}", max = Order::SECONDS_MAX)]
    Seconds(u64),
    #[error("a trace of {0} packets: it may have 1 to {max}", max = Order::PACKETS_MAX)]
    Packets(u64),
    #[error(
        "frames hold the passwords of phones: they are told to root and to the daemon's own user \
         only; run the command as one of these, or without --pcap"
    )]
    FramesDenied,
    #[error(
        "the daemon has no CAP_NET_RAW, which packet sockets need; run it as root, or with \
         AmbientCapabilities=CAP_NET_RAW in its unit: {0}"
    )]
    NoPermission(#[source] io::Error),
    #[error(
        "the daemon gave up what a trace needs when it was started, as kernel.keep_privileges = false \
         says; set it to true and restart the daemon"
    )]
    GivenUp,
    #[error("the packet socket of the trace: {0}")]
    Socket(#[source] io::Error),
    #[error(transparent)]
    Kernel(#[from] kernel::Error),
    #[error("no thread for the trace: {0}")]
    Thread(#[source] io::Error),
}

impl TraceError {
    /// How the command that asked for it ends.
    pub fn exit(&self) -> Exit {
        match self {
            Self::Busy => Exit::Temporary,
            Self::Seconds(_) | Self::Packets(_) => Exit::Usage,
            Self::FramesDenied | Self::NoPermission(_) | Self::GivenUp => Exit::NoPermission,
            Self::Socket(_) | Self::Kernel(_) | Self::Thread(_) => Exit::Unavailable,
        }
    }
}

/// Begins traces; one for the daemon.
pub struct Tracer {
    kernel: Option<Arc<Kernel>>,
    addresses: Addresses,
    slots: Arc<Semaphore>,
    is_stopped: Arc<AtomicBool>,
}

impl Default for Tracer {
    /// One that knows no device and no kernel program.
    fn default() -> Self {
        Self {
            kernel: None,
            addresses: Arc::new(|_| Vec::new()),
            slots: Arc::new(Semaphore::new(TRACES)),
            is_stopped: Arc::default(),
        }
    }
}

impl Tracer {
    pub fn new(kernel: Arc<Kernel>, addresses: Addresses) -> Self {
        Self {
            kernel: Some(kernel),
            addresses,
            ..Self::default()
        }
    }

    /// Begins a trace, which is told by the receiver and ends when that is dropped. Waits for the
    /// kernel to verify the programs that trace: not for the threads of a runtime. `is_trusted` says
    /// whether whoever asks may see what is in the frames.
    pub fn begin(&self, order: &Order, is_trusted: bool) -> Result<Receiver<Told>, TraceError> {
        let bounds = order.bounds()?;
        if order.frames && !is_trusted {
            return Err(TraceError::FramesDenied);
        }
        if capabilities::are_given_up() {
            return Err(TraceError::GivenUp);
        }
        let slot = Arc::clone(&self.slots).try_acquire_owned();
        let slot = slot.map_err(|_| TraceError::Busy)?;
        let tap = Tap::open().map_err(|error| match error.kind() {
            io::ErrorKind::PermissionDenied => TraceError::NoPermission(error),
            _ => TraceError::Socket(error),
        })?;
        let mirrors = self.kernel.as_ref().and_then(|kernel| kernel.mirrors());
        let mirror = mirrors.map(|mirrors| mirrors.begin()).transpose()?;
        let interfaces = match (&mirror, &self.kernel) {
            (Some(_), Some(kernel)) => {
                let kernel = Arc::clone(kernel);
                Interfaces::new(Box::new(move || kernel.interfaces()))
            }
            _ => Interfaces::default(),
        };
        let (out, told) = channel(TOLD_MAX);
        let is_stopped = Arc::clone(&self.is_stopped);
        let session = Session {
            target: order.target,
            addresses: Arc::clone(&self.addresses),
            bounds,
            has_frames: order.frames,
            mirror,
            tap,
            interfaces,
            out,
            runs: Arc::new(move || !is_stopped.load(Ordering::Relaxed)),
        };
        tracing::info!(event = "trace.began", subject = %order.target, "a trace begins");
        std::thread::Builder::new()
            .name("trace".into())
            .spawn(move || {
                settle(Role::Plain);
                let _slot: OwnedSemaphorePermit = slot;
                session.run();
                tracing::info!(event = "trace.ended", "a trace has ended");
            })
            .map_err(TraceError::Thread)?;
        Ok(told)
    }

    /// Ends all traces. They notice within a moment.
    pub fn stop(&self) {
        self.is_stopped.store(true, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(seconds: u64, packets: u64) -> Order {
        Order {
            target: "10.0.0.5".parse().unwrap(),
            seconds,
            packets,
            frames: false,
        }
    }

    #[test]
    fn a_trace_is_bounded() {
        assert!(order(60, 10_000).bounds().is_ok());
        assert!(order(3_600, 1_000_000).bounds().is_ok());
        for (seconds, packets) in [(0, 1), (3_601, 1), (1, 0), (1, 1_000_001)] {
            let error = order(seconds, packets).bounds().unwrap_err();
            assert!(error.to_string().contains("1 to "), "{error}");
        }
    }

    #[test]
    fn a_target_is_an_address_or_a_device() {
        let parsed = |text: &str| text.parse::<Target>().map(|it| it.to_string());
        assert_eq!(parsed("10.0.0.5").unwrap(), "10.0.0.5");
        assert_eq!(parsed("::ffff:10.0.0.5").unwrap(), "10.0.0.5");
        assert_eq!(parsed("fd00::5").unwrap(), "fd00::5");
        assert_eq!(parsed("sep001122334455").unwrap(), "SEP001122334455");
        assert!(parsed("SEP0011").is_err());
        assert!(parsed("10.0.0.5/24").is_err());
    }

    #[test]
    fn an_order_without_bounds_has_the_usual_ones() {
        let asked: Order = serde_json::from_str(r#"{"target":"10.0.0.5"}"#).unwrap();
        assert_eq!(asked, order(Order::SECONDS, Order::PACKETS));
    }

    #[test]
    fn frames_are_for_those_who_may_read_passwords() {
        let order = Order {
            frames: true,
            ..order(1, 1)
        };
        let error = Tracer::default().begin(&order, false).unwrap_err();
        assert!(matches!(error, TraceError::FramesDenied), "{error}");
    }
}
