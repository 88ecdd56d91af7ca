//! TFTP (RFC 1350, 2347): what each packet asks for or carries, without the content.

use tftp_ebpf::wire::tftp::{PORT, opcode};

use super::text;

/// The longest block there is (RFC 2348), and its header.
const DATA_MAX: usize = 65_464 + 4;

/// What a datagram says, if it is TFTP's: to or from the request port, or with a number that its
/// packets have. Ports of transfers are anything.
pub fn message(payload: &[u8], ports: [u16; 2]) -> Option<String> {
    let (number, rest) = payload.split_first_chunk::<2>()?;
    let number = u16::from_be_bytes(*number);
    let block = rest
        .first_chunk::<2>()
        .map(|bytes| u16::from_be_bytes(*bytes));
    let is_request_port = ports.contains(&PORT);
    Some(match (number, block) {
        (opcode::RRQ, _) if is_request_port => format!("RRQ {}", strings(rest)),
        (opcode::WRQ, _) if is_request_port => format!("WRQ {}", strings(rest)),
        (opcode::DATA, Some(block)) if payload.len() <= DATA_MAX => {
            format!("DATA {block} {} bytes", payload.len() - 4)
        }
        // Frames of Ethernet are padded, and a datagram is not: what is longer is something else.
        (opcode::ACK, Some(block)) if payload.len() == 4 || is_request_port => {
            format!("ACK {block}")
        }
        (opcode::ERROR, Some(code)) => format!("ERROR {code} {}", strings(&rest[2..])),
        (opcode::OACK, _) => format!("OACK {}", strings(rest)),
        _ if is_request_port => format!("opcode {number}"),
        _ => return None,
    })
}

/// Strings that end in NULs.
fn strings(bytes: &[u8]) -> String {
    let words = bytes
        .split(|&byte| byte == 0)
        .filter(|word| !word.is_empty());
    let words: Vec<_> = words.map(text).collect();
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(payload: &[u8]) -> Option<String> {
        message(payload, [49_152, 40_000])
    }

    #[test]
    fn requests_are_told_with_names_and_options() {
        let asked = b"\0\x01SEP001122334455.cnf.xml\0octet\0blksize\x001428\0";
        let said = message(asked, [49_152, 69]).unwrap();
        assert_eq!(said, "RRQ SEP001122334455.cnf.xml octet blksize 1428");
        // Only where requests go.
        assert_eq!(message(asked, [49_152, 40_000]), None);
    }

    #[test]
    fn a_transfer_is_told_without_its_content() {
        let data = [&[0, 3, 0, 12][..], &[b's'; 512]].concat();
        assert_eq!(said(&data).unwrap(), "DATA 12 512 bytes");
        assert_eq!(said(&[0, 4, 1, 0]).unwrap(), "ACK 256");
        assert_eq!(said(b"\0\x06tsize\x006144\0").unwrap(), "OACK tsize 6144");
        assert_eq!(
            said(b"\0\x05\0\x01File not found\0").unwrap(),
            "ERROR 1 File not found"
        );
    }

    #[test]
    fn what_no_transfer_says_is_not_taken_for_one() {
        // RTP, and anything short.
        assert_eq!(said(&[0x80; 172]), None);
        assert_eq!(said(&[0, 4, 0, 1, 9]), None);
        assert_eq!(said(&[0]), None);
        assert_eq!(message(&[0, 9, 0, 0], [69, 1]).unwrap(), "opcode 9");
    }
}
