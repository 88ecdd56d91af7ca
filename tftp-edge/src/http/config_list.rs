//! `ConfigFileCacheList.txt`, as CUCM has it on port 6970: one configuration a line, its name
//! first. Monitoring reads it, and so do tools that fetch every configuration to look for
//! passwords (SeeYouCM-Thief); so nobody may but who was named.

use std::sync::Arc;

use bytes::Bytes;
use tftp_ebpf::name::normalise;
use tftp_ebpf::stage::Stage;

use crate::content::Catalog;

const NAME: &[u8] = b"configfilecachelist.txt";

pub(super) fn is_asked_for(raw: &[u8]) -> bool {
    let mut folded = [0; NAME.len()];
    normalise(raw, &mut folded).is_ok_and(|name| name == NAME)
}

/// Away from the connections: a hundred thousand names take their time.
pub(super) async fn write(catalog: &Arc<dyn Catalog>) -> Bytes {
    let catalog = Arc::clone(catalog);
    let list = tokio::task::spawn_blocking(move || lines(catalog.names(Stage::Config)));
    // Fails only if the list panicked, which has been printed.
    list.await.unwrap_or_default()
}

fn lines(mut names: Vec<Arc<str>>) -> Bytes {
    names.sort_unstable();
    let mut list = String::with_capacity(names.iter().map(|name| name.len() + 1).sum());
    for name in &names {
        list.push_str(&as_phones_write(name));
        list.push('\n');
    }
    list.into()
}

/// Device names in upper case, as they are written everywhere else: `SEP001122334455.cnf.xml`.
fn as_phones_write(name: &str) -> String {
    let device = name.find('.').unwrap_or(name.len());
    let (device, suffix) = name.split_at(device);
    device.to_ascii_uppercase() + suffix
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_has_one_name_a_line_as_phones_write_it() {
        let names = ["sepaabbccddeeff.cnf.xml", "sep001122334455.cnf.xml"];
        let list = lines(names.map(Arc::from).to_vec());
        assert_eq!(list, "SEP001122334455.cnf.xml\nSEPAABBCCDDEEFF.cnf.xml\n");
    }

    #[test]
    fn the_list_is_asked_for_in_any_spelling_and_nothing_else_is_it() {
        for name in ["/ConfigFileCacheList.txt", "configfilecachelist.TXT"] {
            assert!(is_asked_for(name.as_bytes()), "{name}");
        }
        for name in [
            "/ConfigFileCacheList.txt.sgn",
            "/x/ConfigFileCacheList.txt",
            "",
        ] {
            assert!(!is_asked_for(name.as_bytes()), "{name}");
        }
    }
}
