//! `tftp-edge trace`: every packet of one phone, and what became of it.

use std::fs::{File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use clap::Args;
use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::control::{self, ClientError};
use super::exit::Exit;
use crate::trace::pcapng::{Captured, Writer};
use crate::trace::{
    Direction, Ending, Lost, Order, Source, Target, Told, TracedPacket, Via, from_hex,
};

#[derive(Debug, Args)]
pub struct TraceArgs {
    /// A device's name, which is followed wherever it goes, or an address
    #[arg(value_name = "SEP…|ADDRESS")]
    pub target: Target,
    /// Also write the packets to this file, in pcapng with what became of each as its comment; they
    /// hold the phone's passwords, so the file is for its owner alone
    #[arg(long, value_name = "FILE")]
    pub pcap: Option<PathBuf>,
    /// End after so many seconds, at most 3600
    #[arg(long, value_name = "N", default_value_t = Order::SECONDS)]
    pub seconds: u64,
    /// End after so many packets, at most 1000000
    #[arg(long, value_name = "N", default_value_t = Order::PACKETS)]
    pub packets: u64,
    /// One JSON object a line; times are nanoseconds since the epoch
    #[arg(long)]
    pub json: bool,
    /// The daemon's control socket; taken from the configuration when it is not given
    #[arg(long, value_name = "PATH")]
    pub socket: Option<PathBuf>,
}

#[derive(Debug, thiserror::Error)]
pub enum TraceCommandError {
    #[error(transparent)]
    Client(#[from] ClientError),
    #[error("output: {0}")]
    Output(#[from] io::Error),
    #[error("--pcap {}: {source}", file.display())]
    Pcap { file: PathBuf, source: io::Error },
    #[error("a frame of the trace is not understood: are daemon and command the same version?")]
    Frame,
    #[error("the trace failed: {0}")]
    Failed(String),
}

impl TraceCommandError {
    pub fn exit(&self) -> Exit {
        match self {
            Self::Client(error) => error.exit(),
            Self::Output(_) => Exit::Io,
            Self::Pcap { source, .. } => match source.kind() {
                io::ErrorKind::PermissionDenied => Exit::NoPermission,
                _ => Exit::Io,
            },
            Self::Frame | Self::Failed(_) => Exit::Software,
        }
    }
}

impl TraceArgs {
    pub fn run(
        &self,
        socket: &Path,
        out: &mut dyn Write,
        notes: &mut dyn Write,
    ) -> Result<(), TraceCommandError> {
        let order = Order {
            target: self.target,
            seconds: self.seconds,
            packets: self.packets,
            frames: self.pcap.is_some(),
        };
        let mut pcap = None;
        control::trace(socket, &order, |mut told| {
            if let Told::Packet(packet) = &mut told
                && let Some(path) = &self.pcap
            {
                // Not before the daemon has agreed.
                let writer = match &mut pcap {
                    Some(writer) => writer,
                    None => pcap.insert(create(path)?),
                };
                write_frame(writer, packet, path)?;
            }
            match self.json {
                true => {
                    serde_json::to_writer(&mut *out, &told).map_err(io::Error::from)?;
                    writeln!(out)?;
                }
                false => match &told {
                    Told::Packet(packet) => writeln!(out, "{}", line(packet, &TimeZone::system()))?,
                    other => writeln!(notes, "{}", note(other))?,
                },
            }
            // Somebody waits for each of them.
            out.flush()?;
            match told {
                Told::Ended {
                    because: Ending::Failed(problem),
                    ..
                } => Err(TraceCommandError::Failed(problem)),
                _ => Ok(()),
            }
        })?;
        if let Some(path) = &self.pcap {
            if pcap.is_none() {
                create(path)?;
            }
            writeln!(
                notes,
                "{}: holds the phone's passwords and configuration; its owner alone may read it",
                path.display()
            )?;
        }
        Ok(())
    }
}

/// A file that its owner alone may read, also if it was there before.
fn create(path: &Path) -> Result<Writer<File>, TraceCommandError> {
    let opened = || {
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(path)?;
        file.set_permissions(Permissions::from_mode(0o600))?;
        Writer::new(file)
    };
    opened().map_err(|source| TraceCommandError::Pcap {
        file: path.to_owned(),
        source,
    })
}

/// Takes the frame out of the packet, and writes it.
fn write_frame(
    writer: &mut Writer<File>,
    packet: &mut TracedPacket,
    path: &Path,
) -> Result<(), TraceCommandError> {
    let frame = packet.frame.take();
    let frame = frame.and_then(|frame| from_hex(&frame));
    let frame = frame.ok_or(TraceCommandError::Frame)?;
    let captured = Captured {
        time_ns: packet.time_ns,
        interface: &packet.interface,
        direction: packet.direction,
        frame: &frame,
        len: packet.len,
        comment: &packet.decided(),
    };
    writer
        .write(&captured)
        .map_err(|source| TraceCommandError::Pcap {
            file: path.to_owned(),
            source,
        })
}

/// One packet for people.
fn line(packet: &TracedPacket, zone: &TimeZone) -> String {
    let at = Timestamp::from_nanosecond(packet.time_ns.into()).unwrap_or_default();
    let at = at.to_zoned(zone.clone());
    let arrow = match packet.direction {
        Direction::In => "->",
        Direction::Out => "<-",
    };
    // The other end: ours is the same in every line.
    let other = match packet.direction {
        Direction::In => &packet.from,
        Direction::Out => &packet.to,
    };
    let vlan = packet.vlan.map(|vlan| format!(" vlan {vlan}"));
    let decided = match packet.decided() {
        decided if decided.is_empty() => decided,
        decided => format!("  [{decided}]"),
    };
    format!(
        "{} {arrow} {:<4} {:<22} {:<5} {}{}{decided}",
        at.strftime("%H:%M:%S%.6f"),
        packet.via.as_str(),
        other,
        packet.protocol,
        packet.summary,
        vlan.unwrap_or_default(),
    )
}

/// What is not a packet, for people.
fn note(told: &Told) -> String {
    match told {
        Told::Packet(_) => String::new(),
        Told::Waiting { device } => {
            format!("-- nothing is known of where {device} is; waiting for it to register")
        }
        Told::Watching { addresses, sources } => {
            let addresses: Vec<_> = addresses.iter().map(ToString::to_string).collect();
            let sources: Vec<_> = sources.iter().map(source).collect();
            let sources = match sources.is_empty() {
                true => "everything by the host".to_owned(),
                false => format!("{}; on others everything by the host", sources.join(", ")),
            };
            format!("-- tracing {}; told by: {sources}", addresses.join(" "))
        }
        Told::Lost(lost) => format!("-- {}", of_lost(lost)),
        Told::Ended {
            because,
            packets,
            bytes,
            lost,
        } => {
            let because = match because {
                Ending::Time => "its time is over",
                Ending::Packets => "it has all packets it may have",
                Ending::Bytes => "it has all bytes it may have",
                Ending::Stopped => "the daemon stops",
                Ending::Failed(problem) => problem,
            };
            let lost = match lost.sum() {
                0 => "none lost".to_owned(),
                _ => of_lost(lost),
            };
            format!("-- ended, {because}: {packets} packets, {bytes} bytes; {lost}")
        }
    }
}

fn source(source: &Source) -> String {
    let out: Vec<_> = source.outgoing.iter().map(|via| via.as_str()).collect();
    let incoming: Via = source.incoming;
    format!(
        "{} in by {}, out by {}",
        source.interface,
        incoming.as_str(),
        out.join(" and ")
    )
}

fn of_lost(lost: &Lost) -> String {
    format!(
        "packets lost so far: {} where the kernel program's ring was full, {} at the packet socket, \
         {} since this reader was too slow",
        lost.ring, lost.socket, lost.reader
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::Decision;

    fn packet() -> TracedPacket {
        TracedPacket {
            time_ns: 1_795_440_000_123_456_789,
            interface: "eth0".to_owned(),
            direction: Direction::In,
            via: Via::Xdp,
            len: 60,
            vlan: None,
            from: "10.0.0.5:49152".to_owned(),
            to: "10.0.0.1:69".to_owned(),
            protocol: "TFTP".to_owned(),
            summary: "RRQ SEP001122334455.cnf.xml octet".to_owned(),
            decisions: vec![Decision {
                rung: Via::Xdp,
                action: "answered".to_owned(),
                reason: "first_data".to_owned(),
                class: None,
                verdict: None,
            }],
            frame: Some("00".repeat(60)),
        }
    }

    #[test]
    fn a_packet_is_one_line() {
        assert_eq!(
            line(&packet(), &TimeZone::UTC),
            "13:20:00.123456 -> xdp  10.0.0.5:49152         TFTP  RRQ SEP001122334455.cnf.xml octet  \
             [xdp answered: first_data]"
        );
        let sent = TracedPacket {
            direction: Direction::Out,
            via: Via::Host,
            to: "10.0.0.5:5060".to_owned(),
            protocol: "SIP".to_owned(),
            summary: "200 OK (CSeq 2 REGISTER)".to_owned(),
            vlan: Some(110),
            decisions: Vec::new(),
            ..packet()
        };
        assert_eq!(
            line(&sent, &TimeZone::UTC),
            "13:20:00.123456 <- host 10.0.0.5:5060          SIP   200 OK (CSeq 2 REGISTER) vlan 110"
        );
    }

    #[test]
    fn what_was_lost_is_said() {
        let ended = Told::Ended {
            because: Ending::Time,
            packets: 7,
            bytes: 420,
            lost: Lost::default(),
        };
        assert_eq!(
            note(&ended),
            "-- ended, its time is over: 7 packets, 420 bytes; none lost"
        );
        let lost = Lost {
            reader: 3,
            ..Lost::default()
        };
        assert!(note(&Told::Lost(lost)).contains(" 3 since this reader was too slow"));
    }

    #[test]
    fn the_file_is_for_its_owner_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("trace.pcapng");
        std::fs::write(&path, "older, and for everybody").unwrap();
        std::fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        let mut writer = create(&path).unwrap();
        let mut packet = packet();
        write_frame(&mut writer, &mut packet, &path).unwrap();
        assert_eq!(packet.frame, None);
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert!(std::fs::read(&path).unwrap().starts_with(&[0x0a, 0x0d]));
    }
}
