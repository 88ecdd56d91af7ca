//! Whole transfers to a client that knows RFC 1350, 2347 and 7440 and nothing of the server, over
//! a line that loses, doubles and reorders what the input says.
//!
//! Two servers are driven: the daemon's transfer on its sockets, and the rules of the kernel
//! program over memory. The model knows the file and counts packets. It asks that
//!
//! - every DATA carries the bytes of its block, and no block comes that is beyond what the client
//!   has acknowledged and its window;
//! - before the client has acknowledged anything, it is sent no more than one datagram for each of
//!   its own, and one more;
//! - once the line is good, the transfer ends, in steps that grow with the file alone.

mod client;
mod kernel;
mod sockets;

use std::time::Duration;

use tftp_ebpf::wire::tftp::Mode;

use crate::script::Script;
use client::Client;

/// A server, as its client sees it.
trait Server {
    /// What comes back for a datagram.
    fn receive(&mut self, datagram: &[u8]) -> Vec<Vec<u8>>;
    /// Time passes; what the server sends on its own account.
    fn pass(&mut self, time: Duration) -> Vec<Vec<u8>>;
    /// The transfer has ended, and not by its last ACK.
    fn has_given_up(&self) -> bool;
}

/// What a client asks for.
#[derive(Clone, Copy, Debug)]
struct Wish {
    mode: Mode,
    blksize: Option<u16>,
    windowsize: Option<u16>,
    tsize: bool,
}

pub fn run(input: &[u8]) {
    let mut script = Script::new(input);
    let how = script.byte();
    let small = u16::from(script.byte());
    let mode = match how & 1 {
        0 => Mode::Octet,
        _ => Mode::Netascii,
    };
    let wish = Wish {
        mode,
        blksize: (how & 2 != 0).then_some(8 + 5 * small),
        windowsize: (how & 4 != 0).then_some(u16::from(how >> 4) + 2),
        // Of a text it is known only when it has been converted, and so never granted.
        tsize: how & 8 != 0 && mode == Mode::Octet,
    };
    let len = script.below(6000);
    let content = content(len, usize::from(script.byte()));
    play(
        &mut sockets::Sockets::new(&content, wish),
        &content,
        wish,
        script,
    );

    let file = script.below(kernel::FILES);
    let wish = Wish {
        mode: Mode::Octet,
        windowsize: None,
        ..wish
    };
    let mut kernel = kernel::Kernel::new(file, wish);
    let content = kernel.content();
    play(&mut kernel, &content, wish, script);
}

/// A text with line ends in it, which netascii makes longer.
fn content(len: usize, every: usize) -> Vec<u8> {
    let at = |at: usize| match at % (every + 2) {
        0 => b'\n',
        1 if every & 1 != 0 => b'\r',
        _ => (at * 31 % 251) as u8,
    };
    (0..len).map(at).collect()
}

/// As it travels (RFC 1350 section 1, RFC 854).
fn as_sent(content: &[u8], mode: Mode) -> Vec<u8> {
    if mode != Mode::Netascii {
        return content.to_vec();
    }
    let pairs = content.iter().flat_map(|&byte| match byte {
        b'\n' => vec![b'\r', b'\n'],
        b'\r' => vec![b'\r', 0],
        byte => vec![byte],
    });
    pairs.collect()
}

/// Plays the script, then a good line until the transfer is over.
fn play(server: &mut dyn Server, content: &[u8], wish: Wish, mut script: Script<'_>) {
    let sent = as_sent(content, wish.mode);
    let mut client = Client::new(&sent, wish);
    let mut line = Line::default();
    line.to_server.push(client.request());
    while !script.is_empty() && !client.is_done() && !server.has_given_up() {
        let action = script.byte();
        let at = usize::from(action >> 4);
        match action & 0x0f {
            // What is on its way arrives, most often in order.
            0..=3 => line.deliver_to_server(0, server, &mut client),
            4..=7 => line.deliver_to_client(0, &mut client),
            8 => line.deliver_to_server(at, server, &mut client),
            9 => line.deliver_to_client(at, &mut client),
            // It is lost, or doubled.
            10 => drop(line.take_to_server(at)),
            11 => drop(line.take_to_client(at)),
            12 => line.double(at),
            13 => {
                let time = Duration::from_millis(1 << at.min(12));
                line.arrive_later(server.pass(time), &mut client);
            }
            14 => line.to_server.extend(client.repeat()),
            _ => line
                .to_server
                .push(vec![0, 4, script.byte(), script.byte()]),
        }
    }
    finish(server, &mut client, &mut line);
}

/// A good line: everything arrives at once, and both sides repeat what they wait for.
fn finish(server: &mut dyn Server, client: &mut Client<'_>, line: &mut Line) {
    // A block takes an ACK and a DATA, and may come twice where windows overlap; a client that waits
    // repeats itself each second.
    let most = 1000 + 8 * client.blocks();
    for _ in 0..most {
        if client.is_done() || client.is_spoilt() || server.has_given_up() {
            return;
        }
        if !line.to_client.is_empty() {
            line.deliver_to_client(0, client);
        } else if !line.to_server.is_empty() {
            line.deliver_to_server(0, server, client);
        } else {
            line.arrive_later(server.pass(Duration::from_secs(1)), client);
            if line.to_client.is_empty() {
                line.to_server.extend(client.repeat());
            }
        }
    }
    panic!("no end after {most} steps: {client:?}");
}

/// Most datagrams on their way; more are lost, as on any line.
const LINE_MAX: usize = 64;

/// Datagrams on their way.
#[derive(Default)]
struct Line {
    to_server: Vec<Vec<u8>>,
    to_client: Vec<Vec<u8>>,
}

impl Line {
    fn take_to_server(&mut self, at: usize) -> Option<Vec<u8>> {
        (!self.to_server.is_empty()).then(|| self.to_server.remove(at % self.to_server.len()))
    }

    fn take_to_client(&mut self, at: usize) -> Option<Vec<u8>> {
        (!self.to_client.is_empty()).then(|| self.to_client.remove(at % self.to_client.len()))
    }

    fn deliver_to_server(&mut self, at: usize, server: &mut dyn Server, client: &mut Client<'_>) {
        if let Some(datagram) = self.take_to_server(at) {
            client.reached(&datagram);
            let answers = server.receive(&datagram);
            self.arrive_later(answers, client);
        }
    }

    fn arrive_later(&mut self, datagrams: Vec<Vec<u8>>, client: &mut Client<'_>) {
        for datagram in datagrams {
            client.check_sent(&datagram);
            if self.to_client.len() < LINE_MAX {
                self.to_client.push(datagram);
            }
        }
    }

    fn deliver_to_client(&mut self, at: usize, client: &mut Client<'_>) {
        if let Some(datagram) = self.take_to_client(at) {
            let answer = client.receive(&datagram);
            self.to_server.extend(answer);
            self.to_server.truncate(LINE_MAX);
        }
    }

    fn double(&mut self, at: usize) {
        let (direction, at) = match at & 1 {
            0 => (&mut self.to_server, at / 2),
            _ => (&mut self.to_client, at / 2),
        };
        if let Some(datagram) = direction.get(at).cloned()
            && direction.len() < LINE_MAX
        {
            direction.push(datagram);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn block_numbers_wrap_in_every_window() {
        for windowsize in [None, Some(2), Some(17)] {
            let wish = Wish {
                mode: Mode::Octet,
                blksize: Some(8),
                windowsize,
                tsize: false,
            };
            let content = content(8 * 65_600 + 3, 5);
            let mut server = sockets::Sockets::new(&content, wish);
            // Some losses on the way, and then a good line over the wrap.
            play(
                &mut server,
                &content,
                wish,
                Script::new(&[0x04, 0x1a, 0x0b, 0xad]),
            );
            assert!(!server.has_given_up());
        }
    }
}
