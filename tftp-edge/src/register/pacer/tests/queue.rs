use std::time::{Duration, Instant, SystemTime};

use super::device;
use crate::inventory::DeviceName;
use crate::register::Order;
use crate::register::pacer::Settings;
use crate::register::pacer::queue::{CHANGES, MAX_WAITING, Next, Pushed, Queue, Ticket, Why};

/// A queue and a clock to step by hand.
struct Bench {
    queue: Queue,
    began: Instant,
    now: Instant,
}

impl Bench {
    fn new(per_second: u32, site_per_second: u32) -> Self {
        let settings = Settings {
            per_second,
            site_per_second,
            ..Settings::default()
        };
        let now = Instant::now();
        Self {
            queue: Queue::new(&settings),
            began: now,
            now,
        }
    }

    fn push(&mut self, number: usize, site: &str, ticket: Ticket) -> Pushed {
        let wanted = SystemTime::now();
        self.queue.push(
            device(number),
            site,
            Order::Restart,
            Why::Command,
            ticket,
            wanted,
        )
    }

    /// The next device, and the milliseconds since the beginning at which it is due.
    fn next(&mut self) -> Option<(DeviceName, u128)> {
        loop {
            match self.queue.next(self.now) {
                Next::Due(device, waiting) => {
                    self.queue.sent(&waiting, self.now);
                    let at = self.now - self.began;
                    return Some((device, at.as_millis()));
                }
                Next::At(at) => {
                    assert!(at > self.now, "waits for what is over");
                    self.now = at;
                }
                Next::Nothing => return None,
            }
        }
    }

    fn all(&mut self) -> Vec<(usize, u128)> {
        let number = |name: DeviceName| usize::from_str_radix(&name.as_str()[3..], 16).unwrap();
        std::iter::from_fn(|| self.next())
            .map(|(name, at)| (number(name), at))
            .collect()
    }
}

#[test]
fn orders_go_out_at_the_pace_of_the_site_and_of_all() {
    let mut bench = Bench::new(10, 2);
    for number in 0..3 {
        bench.push(number, "berlin", CHANGES);
    }
    bench.push(10, "munich", CHANGES);
    assert_eq!(bench.all(), [(0, 0), (10, 100), (1, 500), (2, 1_000)]);
}

#[test]
fn sites_take_turns_however_many_wait_in_one() {
    let mut bench = Bench::new(10, 10);
    for number in 0..100 {
        bench.push(number, "big", CHANGES);
    }
    for number in 100..103 {
        bench.push(number, "small", CHANGES);
    }
    let order: Vec<_> = bench.all().into_iter().map(|(number, _)| number).collect();
    assert_eq!(order[..6], [0, 100, 1, 101, 2, 102]);
    assert_eq!(order.len(), 103);
}

#[test]
fn a_slow_row_holds_up_nobody_else_of_its_site() {
    let mut bench = Bench::new(100, 100);
    let slow = bench.queue.open(None, Some(1));
    for number in 0..3 {
        bench.push(number, "berlin", slow);
    }
    bench.queue.close(slow);
    for number in 10..13 {
        bench.push(number, "berlin", CHANGES);
    }
    assert_eq!(bench.queue.left(slow), 3);
    let sent = bench.all();
    let slow_ones: Vec<_> = sent.iter().filter(|(number, _)| *number < 10).collect();
    assert_eq!(slow_ones, [&(0, 0), &(1, 1_000), &(2, 2_000)]);
    assert!(sent.iter().all(|(number, at)| *number < 10 || *at < 100));
    assert_eq!(bench.queue.left(slow), 0);
}

#[test]
fn a_row_keeps_its_pace_while_orders_still_come_into_it() {
    let mut bench = Bench::new(100, 100);
    let slow = bench.queue.open(None, Some(1));
    bench.push(0, "berlin", slow);
    // All that waits goes out before the rest of the command is there.
    assert_eq!(bench.all(), [(0, 0)]);
    bench.push(1, "berlin", slow);
    assert_eq!(bench.queue.open(Some(slow), None), slow, "a second part");
    bench.queue.close(slow);
    assert_eq!(bench.all(), [(1, 1_000)]);
    bench.push(2, "munich", slow);
    bench.queue.close(slow);
    assert_eq!(bench.all(), [(2, 2_000)]);
    assert_ne!(bench.queue.open(Some(slow), None), slow, "it is over");
}

#[test]
fn a_rate_above_the_settings_changes_nothing() {
    let mut bench = Bench::new(10, 10);
    let fast = bench.queue.open(None, Some(1_000));
    for number in 0..3 {
        bench.push(number, "berlin", fast);
    }
    bench.queue.close(fast);
    assert_eq!(bench.all(), [(0, 0), (1, 100), (2, 200)]);
}

#[test]
fn a_site_that_has_nothing_left_keeps_its_pace() {
    let mut bench = Bench::new(100, 1);
    bench.push(1, "berlin", CHANGES);
    assert_eq!(bench.all(), [(1, 0)]);
    assert!(matches!(bench.queue.next(bench.now), Next::Nothing));
    bench.push(2, "berlin", CHANGES);
    assert_eq!(bench.all(), [(2, 1_000)]);
}

#[test]
fn a_device_has_one_order_and_the_stronger_one_counts() {
    let mut bench = Bench::new(10, 10);
    let mut push = |order, why| {
        let now = SystemTime::now();
        bench
            .queue
            .push(device(1), "berlin", order, why, CHANGES, now)
    };
    assert_eq!(push(Order::Restart, Why::Command), Pushed::Queued);
    assert_eq!(push(Order::Reset, Why::Change), Pushed::Joined);
    assert_eq!(push(Order::ApplyConfig, Why::Change), Pushed::Joined);
    let Next::Due(_, waiting) = bench.queue.next(bench.now) else {
        panic!("it is due");
    };
    assert_eq!((waiting.order, waiting.why), (Order::Reset, Why::Command));
    bench.queue.sent(&waiting, bench.now);
    assert_eq!(bench.queue.len(), 0);
}

#[test]
fn what_is_tried_again_waits_and_goes_behind_the_others() {
    let mut bench = Bench::new(1_000, 1_000);
    bench.push(1, "berlin", CHANGES);
    bench.push(2, "berlin", CHANGES);
    let Next::Due(busy, waiting) = bench.queue.next(bench.now) else {
        panic!("it is due");
    };
    bench
        .queue
        .again(busy, waiting, bench.now + Duration::from_secs(5));
    assert_eq!(bench.all(), [(2, 0), (1, 5_000)]);
}

#[test]
fn the_queue_is_bounded() {
    let mut bench = Bench::new(1, 1);
    for number in 0..MAX_WAITING {
        bench.push(number, "berlin", CHANGES);
    }
    assert_eq!(bench.push(MAX_WAITING, "berlin", CHANGES), Pushed::Full);
    assert_eq!(bench.push(0, "berlin", CHANGES), Pushed::Joined);
    assert_eq!(bench.queue.len(), MAX_WAITING);
}
