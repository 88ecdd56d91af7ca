//! The filter of a packet socket: what is from or to a few addresses, in classic BPF
//! (`Documentation/networking/filter.rst` of Linux).
//!
//! The tag that the driver took out is not in the frame; up to two more may be. Only frames of
//! Ethernet are let through: on other interfaces the addresses do not stand where they are looked
//! for.

use std::net::IpAddr;

use libc::{
    ARPHRD_ETHER, ARPHRD_LOOPBACK, BPF_ABS, BPF_H, BPF_IMM, BPF_IND, BPF_JA, BPF_JEQ, BPF_JMP,
    BPF_K, BPF_LD, BPF_LDX, BPF_RET, BPF_W, SKF_AD_HATYPE, SKF_AD_OFF,
};
use socket2::SockFilter;
use tftp_ebpf::wire::eth::ethertype;

/// One instruction: what it does, how far to jump if so and if not, and its operand.
type Instruction = (u32, u8, u8, u32);

/// More than any frame has.
const WHOLE: u32 = 0x4_0000;

/// The program for these addresses; for none it lets nothing through.
pub fn filter(addresses: &[IpAddr]) -> Vec<SockFilter> {
    let instruction =
        |(code, so, not, operand): Instruction| SockFilter::new(code as u16, so, not, operand);
    program(addresses).into_iter().map(instruction).collect()
}

fn program(addresses: &[IpAddr]) -> Vec<Instruction> {
    let mut program = Vec::from(BEGIN);
    for address in addresses {
        match address {
            IpAddr::V4(v4) => program.extend(over_v4(v4.to_bits())),
            IpAddr::V6(v6) => program.extend(over_v6(v6.to_bits())),
        }
    }
    program.push(ret(0));
    program
}

const fn ret(len: u32) -> Instruction {
    (BPF_RET | BPF_K, 0, 0, len)
}

const fn load_half(at: u32) -> Instruction {
    (BPF_LD | BPF_H | BPF_ABS, 0, 0, at)
}

/// Behind as many bytes of tags as the index register says.
const fn load_half_behind(at: u32) -> Instruction {
    (BPF_LD | BPF_H | BPF_IND, 0, 0, at)
}

const fn load_behind(at: u32) -> Instruction {
    (BPF_LD | BPF_W | BPF_IND, 0, 0, at)
}

const fn set_index(to: u32) -> Instruction {
    (BPF_LDX | BPF_W | BPF_IMM, 0, 0, to)
}

/// Skips `so` instructions if what was loaded is this, else `not`.
const fn is(value: u32, so: u8, not: u8) -> Instruction {
    (BPF_JMP | BPF_JEQ | BPF_K, so, not, value)
}

const fn skip(count: u32) -> Instruction {
    (BPF_JMP | BPF_JA, 0, 0, count)
}

/// Leaves the bytes of tags in the index register.
const BEGIN: [Instruction; 15] = [
    (
        BPF_LD | BPF_W | BPF_ABS,
        0,
        0,
        (SKF_AD_OFF + SKF_AD_HATYPE) as u32,
    ),
    is(ARPHRD_ETHER as u32, 2, 0),
    is(ARPHRD_LOOPBACK as u32, 1, 0),
    ret(0),
    load_half(12),
    is(ethertype::VLAN as u32, 3, 0),
    is(ethertype::PROVIDER_VLAN as u32, 2, 0),
    set_index(0),
    skip(6),
    load_half(16),
    is(ethertype::VLAN as u32, 3, 0),
    is(ethertype::PROVIDER_VLAN as u32, 2, 0),
    set_index(4),
    skip(1),
    set_index(8),
];

/// Sender and target of IPv4 and of ARP.
fn over_v4(address: u32) -> [Instruction; 12] {
    [
        load_half_behind(12),
        is(ethertype::IPV4.into(), 0, 4),
        load_behind(26),
        is(address, 7, 0),
        load_behind(30),
        is(address, 5, 6),
        is(ethertype::ARP.into(), 0, 5),
        load_behind(28),
        is(address, 2, 0),
        load_behind(38),
        is(address, 0, 1),
        ret(WHOLE),
    ]
}

/// Sender and target of IPv6, four words each.
fn over_v6(address: u128) -> Vec<Instruction> {
    let word = |at: u32| (address >> (96 - 32 * at)) as u32;
    let mut block = vec![load_half_behind(12), is(ethertype::IPV6.into(), 0, 17)];
    for (from, accept) in [(22, 8), (38, 0)] {
        for at in 0..4 {
            block.push(load_behind(from + 4 * at));
            // What is left of this end, and for the second the acceptance behind it.
            let left = 6 - 2 * at as u8 + u8::from(accept == 0);
            block.push(match at {
                3 => is(word(at), accept, u8::from(accept == 0)),
                _ => is(word(at), 0, left),
            });
        }
    }
    block.push(ret(WHOLE));
    block
}

#[cfg(test)]
mod tests {
    use tftp_ebpf::testing::Datagram;
    use tftp_ebpf::testing::datagram::Endpoint;

    use super::*;

    /// Runs a program as the kernel would: a load behind the end lets nothing through.
    fn lets_through(program: &[Instruction], hatype: u32, frame: &[u8]) -> bool {
        let (mut loaded, mut index, mut at) = (0_u32, 0_u32, 0);
        let read = |from: u32, len: usize| {
            let bytes = frame.get(from as usize..from as usize + len)?;
            Some(
                bytes
                    .iter()
                    .fold(0, |sum, byte| sum << 8 | u32::from(*byte)),
            )
        };
        loop {
            let (code, so, not, operand) = program[at];
            at += 1;
            let value = match code {
                code if code == BPF_RET | BPF_K => return operand != 0,
                code if code == BPF_JMP | BPF_JA => {
                    at += operand as usize;
                    continue;
                }
                code if code == BPF_JMP | BPF_JEQ | BPF_K => {
                    at += usize::from(if loaded == operand { so } else { not });
                    continue;
                }
                code if code == BPF_LDX | BPF_W | BPF_IMM => {
                    index = operand;
                    continue;
                }
                code if code == BPF_LD | BPF_H | BPF_ABS => read(operand, 2),
                code if code == BPF_LD | BPF_H | BPF_IND => read(index + operand, 2),
                code if code == BPF_LD | BPF_W | BPF_IND => read(index + operand, 4),
                code if code == BPF_LD | BPF_W | BPF_ABS => Some(hatype),
                code => panic!("instruction {code:#x}"),
            };
            match value {
                Some(value) => loaded = value,
                None => return false,
            }
        }
    }

    fn passes(addresses: &[&str], frame: &[u8]) -> bool {
        let addresses: Vec<_> = addresses.iter().map(|it| it.parse().unwrap()).collect();
        lets_through(&program(&addresses), 1, frame)
    }

    fn datagram(from: &str, to: &str, tags: &[(u16, u16)]) -> Vec<u8> {
        let plain = Datagram::default();
        let end = |address: &str| Endpoint {
            address: address.parse().unwrap(),
            ..plain.from
        };
        let datagram = Datagram {
            from: end(from),
            to: end(to),
            tags: tags.to_vec(),
            ..plain.clone()
        };
        datagram.frame()
    }

    #[test]
    fn either_end_is_found_behind_any_tags() {
        for tags in [&[][..], &[(0x8100, 5)], &[(0x88a8, 5), (0x8100, 6)]] {
            for (phone, server, other) in [
                ("10.0.0.5", "10.0.0.1", "10.0.0.6"),
                ("fd00::5", "fd00::1", "fd00::6"),
                ("fd00:0:0:5::", "fd00:0:0:1::", "fd00::6"),
            ] {
                let asked = datagram(phone, server, tags);
                let answered = datagram(server, phone, tags);
                let others = datagram(server, other, tags);
                // Among several, whatever their place.
                for addresses in [
                    &[phone][..],
                    &[phone, "10.9.9.9", "fd99::9"],
                    &["10.9.9.9", "fd99::9", phone],
                ] {
                    assert!(passes(addresses, &asked), "{phone} {tags:?} {addresses:?}");
                    assert!(
                        passes(addresses, &answered),
                        "{phone} {tags:?} {addresses:?}"
                    );
                    assert!(!passes(addresses, &others), "{other} {tags:?}");
                }
            }
        }
    }

    #[test]
    fn arp_is_found_by_sender_and_target() {
        let arp = |sender: [u8; 4], target: [u8; 4]| {
            let head = [&[0xff; 12][..], &[8, 6], &[0, 1, 8, 0, 6, 4, 0, 1]].concat();
            [&head[..], &[2; 6], &sender, &[0; 6], &target].concat()
        };
        assert!(passes(&["10.0.0.5"], &arp([10, 0, 0, 5], [10, 0, 0, 1])));
        assert!(passes(&["10.0.0.5"], &arp([10, 0, 0, 1], [10, 0, 0, 5])));
        assert!(!passes(&["10.0.0.5"], &arp([10, 0, 0, 1], [10, 0, 0, 6])));
    }

    #[test]
    fn nothing_passes_without_an_address_or_off_ethernet() {
        let frame = datagram("10.0.0.5", "10.0.0.1", &[]);
        assert!(!passes(&[], &frame));
        assert!(!passes(&["10.0.0.5"], &frame[..20]));
        let address = ["10.0.0.5".parse().unwrap()];
        assert!(lets_through(&program(&address), 772, &frame));
        // ARPHRD_NONE, as tunnels have it.
        assert!(!lets_through(&program(&address), 0xfffe, &frame));
    }

    #[test]
    fn the_kernel_takes_the_longest_program() {
        let addresses = ["fd00::5".parse().unwrap(); 8];
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::DGRAM, None);
        socket.unwrap().attach_filter(&filter(&addresses)).unwrap();
    }
}
