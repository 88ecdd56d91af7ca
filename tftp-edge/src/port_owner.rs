//! Which process holds a port, as far as `/proc` tells.

use std::fs;
use std::path::Path;

/// A socket's state in the tables, as in `net/tcp_states.h`.
const UNCONNECTED: &str = "07";
const LISTENING: &str = "0A";

/// For a message that a port is taken: by whom, or how to find out. Without privileges, `/proc` shows
/// other users' sockets and not whose they are.
pub fn told(owner: Option<&str>, port: u16) -> String {
    match owner {
        Some(owner) => format!(" by {owner}"),
        None => format!(
            " by a process that this user may not see (as root: `ss -lptun 'sport = :{port}'`)"
        ),
    }
}

/// A name and a process id, for example `dnsmasq (pid 812)`.
pub fn of_udp_port(port: u16) -> Option<String> {
    holder(["/proc/net/udp", "/proc/net/udp6"], port, UNCONNECTED)
}

/// As [`of_udp_port`], who listens on a TCP port.
pub fn of_tcp_port(port: u16) -> Option<String> {
    holder(["/proc/net/tcp", "/proc/net/tcp6"], port, LISTENING)
}

fn holder(tables: [&str; 2], port: u16, state: &str) -> Option<String> {
    let inodes: Vec<String> = tables
        .iter()
        .filter_map(|path| fs::read_to_string(path).ok())
        .flat_map(|table| inodes_of(&table, port, state))
        .collect();
    let processes = fs::read_dir("/proc").ok()?.flatten();
    processes
        .filter(|entry| {
            let name = entry.file_name();
            name.as_encoded_bytes().iter().all(u8::is_ascii_digit)
        })
        .filter(|process| holds_one_of(&process.path(), &inodes))
        .find_map(|found| found.file_name().to_str()?.parse().ok())
        .map(process)
}

/// The name of a process, and its id.
pub fn process(pid: u32) -> String {
    let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    format!("{} (pid {pid})", name.trim())
}

/// Inodes of the sockets bound to a port, out of a table such as `/proc/net/udp`.
fn inodes_of(table: &str, port: u16, state: &str) -> Vec<String> {
    let suffix = format!(":{port:04X}");
    table
        .lines()
        .map(|line| line.split_ascii_whitespace().collect::<Vec<_>>())
        .filter(|fields| fields.get(1).is_some_and(|local| local.ends_with(&suffix)))
        .filter(|fields| fields.get(3) == Some(&state))
        .filter_map(|fields| fields.get(9).map(|&inode| inode.to_owned()))
        .collect()
}

fn holds_one_of(process: &Path, inodes: &[String]) -> bool {
    // Other users' processes cannot be looked into without privileges.
    let Ok(descriptors) = fs::read_dir(process.join("fd")) else {
        return false;
    };
    descriptors.flatten().any(|descriptor| {
        fs::read_link(descriptor.path())
            .ok()
            .and_then(|target| {
                let target = target.to_str()?;
                let inode = target.strip_prefix("socket:[")?.strip_suffix(']')?;
                Some(inodes.iter().any(|known| known == inode))
            })
            .unwrap_or(false)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_holder_of_a_port_is_named() {
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let own_pid = format!("(pid {})", std::process::id());
        for owner in [
            of_udp_port(socket.local_addr().unwrap().port()),
            of_tcp_port(listener.local_addr().unwrap().port()),
        ] {
            assert!(owner.is_some_and(|owner| owner.contains(&own_pid)));
        }
    }

    #[test]
    fn a_port_is_found_in_the_table_by_its_whole_number() {
        let table = "  sl  local_address rem_address st ...\n\
            1: 00000000:0045 00000000:0000 07 0:0 0:0 0 0 0 4711 2 0 0\n\
            2: 00000000:1045 00000000:0000 07 0:0 0:0 0 0 0 4712 2 0 0\n";
        assert_eq!(inodes_of(table, 69, UNCONNECTED), ["4711"]);
    }
}
