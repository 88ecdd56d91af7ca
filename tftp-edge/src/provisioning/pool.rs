//! The directory numbers that a site gives to phones it takes in.

use std::collections::{BTreeMap, HashSet};

use crate::inventory::{DEFAULT_SITE, NumberPool, Snapshot};

/// Every number that is on a line.
pub(super) fn numbers_in_use(snapshot: &Snapshot) -> HashSet<String> {
    let lines = snapshot.devices.values().flat_map(|device| &device.lines);
    lines.map(|line| line.number.clone()).collect()
}

/// The first number of a pool that is not in use.
pub(super) fn next_free(pool: NumberPool, used: &HashSet<String>) -> Option<String> {
    pool.numbers().find(|number| !used.contains(number))
}

/// The sites that take in unknown phones and have no number left for one, and what to do; as
/// problems of alarms. Sites that have their pool from `default` are told as that one.
pub fn used_up(snapshot: &Snapshot) -> Vec<(String, String)> {
    let mut pools = BTreeMap::new();
    for name in [DEFAULT_SITE].into_iter().chain(snapshot.site_names()) {
        let Ok(site) = snapshot.site(name) else {
            // An alarm of its own tells that.
            continue;
        };
        let auto = &site.auto_registration;
        if let Some(pool) = auto.numbers.filter(|_| auto.on) {
            pools.entry(pool.to_string()).or_insert((name, pool));
        }
    }
    if pools.is_empty() {
        return Vec::new();
    }
    let used = numbers_in_use(snapshot);
    let is_used_up = |(_, pool): &(&str, NumberPool)| next_free(*pool, &used).is_none();
    let problem = |(site, pool): (&str, NumberPool)| {
        let problem = format!(
            "all {} numbers for unknown phones are in use ({pool}); widen \
             auto_registration_numbers, or remove devices that are gone",
            pool.size()
        );
        (site.to_owned(), problem)
    };
    pools
        .into_values()
        .filter(is_used_up)
        .map(problem)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inventory::{Contents, Site, parse_csv};

    fn used_up_with(lines: &str, sites: &[(&str, &[(&str, &str)])]) -> Vec<String> {
        let site = |(name, settings): &(&str, &[(&str, &str)])| {
            let pair = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
            ((*name).to_owned(), settings.iter().map(pair).collect())
        };
        let rows = format!("name,model,protocol,lines\nSEP000000000001,8851,sip,{lines}\n");
        let contents = Contents {
            devices: parse_csv(rows.as_bytes()).unwrap(),
            sites: sites.iter().map(site).collect(),
            ..Contents::default()
        };
        let snapshot = Snapshot::new(contents, &Site::default());
        used_up(&snapshot)
            .into_iter()
            .map(|(site, _)| site)
            .collect()
    }

    const ON: (&str, &str) = ("auto_registration", "true");
    const TWO: (&str, &str) = ("auto_registration_numbers", "08-09");

    #[test]
    fn a_pool_is_used_up_when_every_number_is_on_a_line() {
        let site: &[(&str, &[(&str, &str)])] = &[("berlin", &[ON, TWO])];
        assert!(used_up_with("08;10;9", site).is_empty(), "9 is not 09");
        assert_eq!(used_up_with("08;09", site), ["berlin"]);
    }

    #[test]
    fn sites_that_take_in_nobody_or_share_a_pool_are_told_once_or_not() {
        assert!(used_up_with("08;09", &[("berlin", &[TWO])]).is_empty());
        let shared: &[(&str, &[(&str, &str)])] = &[
            ("berlin", &[("subnets", "10.1.0.0/16")]),
            ("default", &[ON, TWO]),
        ];
        assert_eq!(used_up_with("08;09", shared), ["default"]);
    }
}
