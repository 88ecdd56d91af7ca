//! Spreading what would come back all at once.

use std::time::Duration;

use rand::RngExt as _;

/// A grant that is shorter by a random part of it, of so many percent at most: phones that
/// registered in one second refresh in many. Never longer than what was asked for (RFC 3261
/// 10.2.1.1).
pub fn jitter(full: Duration, most_percent: u8) -> Duration {
    let most = f64::from(most_percent.min(100)) / 100.0;
    full.mul_f64(1.0 - rand::rng().random_range(0.0..=most))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grant_is_cut_by_as_much_as_said_at_most_and_not_always_alike() {
        let full = Duration::from_secs(3600);
        let cut: Vec<_> = (0..200).map(|_| jitter(full, 30)).collect();
        assert!(cut.iter().all(|it| (full * 7 / 10..=full).contains(it)));
        assert!(cut.iter().any(|it| it != &cut[0]));
        assert_eq!(jitter(full, 0), full);
        assert!(jitter(full, 200) <= full);
    }
}
