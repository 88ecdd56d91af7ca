//! Settings that change while transfers are served.

use super::*;
use crate::tftp::settings::ResendSettings;

fn of_resend(resend: ResendSettings) -> Settings {
    Settings {
        resend,
        ..Settings::default()
    }
}

impl Bench {
    /// A transfer of its own; what is sent first.
    fn begin(&mut self, request: &[u8]) -> Vec<Vec<u8>> {
        self.client.port += 1;
        self.request(request)
    }
}

#[test]
fn a_transfer_resends_by_the_settings_it_began_with() {
    let mut bench = Bench::new(Settings::default());
    let settings = bench.engine.shared.settings.clone();
    let short = ResendSettings {
        first_ms: 100,
        min_ms: 50,
        max_ms: 100,
        max_sends: 5,
    };
    bench.begin(RRQ);
    settings.set(of_resend(short.clone()));
    // Up to an eighth is taken off each wait.
    assert!(bench.wait(870 * MS).is_empty(), "it began before");
    assert_eq!(bench.wait(131 * MS).len(), 1);
    bench.wait(60_000 * MS);

    assert_eq!(bench.begin(RRQ).len(), 1);
    assert!(bench.wait(87 * MS).is_empty());
    assert_eq!(bench.wait(14 * MS).len(), 1, "first_ms");
    bench.wait(60_000 * MS);

    // With a round trip of nothing at all, the shortest wait holds; and then it doubles to the longest.
    bench.begin(RRQ);
    assert_eq!(bench.ack(1).len(), 1);
    assert!(bench.wait(43 * MS).is_empty());
    assert_eq!(bench.wait(8 * MS).len(), 1, "min_ms");
    let mut sends = 2;
    for _ in 0..100 {
        let sent = bench.wait(100 * MS);
        // An ERROR says that it is given up.
        sends += sent.iter().filter(|it| it[1] == 3).count();
        if sends < 5 {
            assert_eq!(sent.len(), 1, "max_ms");
        }
    }
    assert_eq!(sends, 5, "max_sends");
}

#[test]
fn the_mtu_may_be_minded_from_now_on_or_not_any_more() {
    const SIZED: &[u8] = b"\0\x01f\0octet\0blksize\x001024\0";
    let mut bench = Bench::new(Settings::default());
    bench.mtu = Mtu(Some(600));
    let settings = bench.engine.shared.settings.clone();
    let is_whole = |oack: &[Vec<u8>]| oack.concat().ends_with(b"blksize\x001024\0");
    for mtu_clamp in [true, false, true] {
        settings.set(Settings {
            mtu_clamp,
            ..Settings::default()
        });
        assert_eq!(is_whole(&bench.begin(SIZED)), !mtu_clamp);
    }
}
