//! A site that is made up: its phones, its files, and what each phone must be given.
//!
//! The same options give the same site, byte for byte.

use std::collections::{BTreeSet, HashMap};
use std::fmt::Write as _;
use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use bytes::Bytes;

use crate::phones::registration::Buttons;
use crate::phones::{Expected, Family, FileOracle, Oracle, PhoneSpec, SiteNames};

/// What can be chosen about a site.
#[derive(Clone, Copy, Debug)]
pub struct SiteOptions {
    pub phones: usize,
    /// Firmware images are this many times smaller than real ones.
    pub firmware_divisor: usize,
    /// One phone in so many has to upgrade its firmware; zero for none.
    pub upgrade_one_in: usize,
    /// The first phone's address; the others follow.
    pub first_address: Ipv4Addr,
}

impl Default for SiteOptions {
    fn default() -> Self {
        Self {
            phones: 5000,
            firmware_divisor: 64,
            upgrade_one_in: 50,
            first_address: Ipv4Addr::new(10, 80, 1, 0),
        }
    }
}

/// How often each family occurs, in a hundred phones.
const MIX: [(Family, usize); 7] = [
    (Family::Sccp7940, 10),
    (Family::Sccp7960Old, 5),
    (Family::Sccp6911, 5),
    (Family::Sccp7941, 10),
    (Family::Sccp7965, 5),
    (Family::Sip7961, 40),
    (Family::Sip8851, 25),
];

/// One phone in so many has a second line, and one in so many a speed dial on its second key; of
/// those that have a second key.
const SECOND_LINE_ONE_IN: usize = 7;
const SPEED_DIAL_ONE_IN: usize = 5;

/// A firmware set: its name, and its images with their real sizes in bytes.
struct Load {
    name: &'static str,
    images: &'static [(&'static str, usize)],
}

const LOADS: [(Family, Load); 3] = [
    (
        Family::Sccp7940,
        Load {
            name: "P0030801SR02",
            images: &[("P0030801SR02.sbn", 130_956), ("P0030801SR02.sb2", 708_460)],
        },
    ),
    (
        Family::Sip7961,
        Load {
            name: "SIP41.9-4-2SR3-1S",
            images: &[
                ("apps41.9-4-2ES26.sbn", 3_157_527),
                ("cnu41.9-4-2ES26.sbn", 556_833),
                ("cvm41sip.9-4-2ES26.sbn", 2_219_477),
                ("dsp41.9-4-2ES26.sbn", 562_693),
                ("jar41sip.9-4-2ES26.sbn", 1_630_052),
            ],
        },
    ),
    (
        Family::Sip8851,
        Load {
            name: "sip88xx.12-5-1SR3-74",
            images: &[
                ("kern88xx.12-5-1SR3-74.sbn", 3_092_888),
                ("rootfs88xx.12-5-1SR3-74.sbn", 39_321_936),
                ("sboot88xx.12-5-1SR3-74.sbn", 370_348),
            ],
        },
    ),
];

/// Files of the site that are no firmware, with sizes in bytes as real ones have.
const FILES: [(&str, usize); 13] = [
    ("German_Germany/7960-dictionary.xml", 21_300),
    ("German_Germany/mk-sip.jar", 58_100),
    ("German_Germany/mk-sccp.jar", 61_700),
    ("German_Germany/sl-be-sip.jar", 41_984),
    ("German_Germany/be-sccp.jar", 64_210),
    ("German_Germany/rtl-sccp.jar", 38_912),
    ("Germany/g3-tones.xml", 1_536),
    ("Germany/7960-tones.xml", 2_048),
    ("dialplan.xml", 1_907),
    ("SKsite.xml", 4_137),
    ("Ringlist.xml", 1_024),
    ("Old_Telephone.raw", 16_080),
    ("Desktops/320x196x4/List.xml", 513),
];

/// A time zone that every configuration names: the setting all phones share.
pub const TIME_ZONE: &str = "W. Europe Standard/Daylight Time";

/// What is set for all phones before the first boot, as `key=value` of `inventory site set`.
pub fn settings(server: IpAddr) -> Vec<String> {
    let names = names();
    vec![
        format!("servers={server}"),
        format!("user_locale={}", names.user_locale),
        format!("network_locale={}", names.network_locale),
        format!("dial_template={}", names.dial_template),
        format!("soft_keys={}", names.soft_keys),
        format!("time_zone={TIME_ZONE}"),
    ]
}

fn names() -> SiteNames {
    SiteNames {
        user_locale: "German_Germany".into(),
        network_locale: "Germany".into(),
        dial_template: "dialplan.xml".into(),
        soft_keys: "SKsite.xml".into(),
    }
}

/// The site.
#[derive(Debug)]
pub struct Site {
    pub phones: Vec<PhoneSpec>,
    pub oracle: SiteOracle,
    csv: String,
    tree: Vec<(String, Bytes)>,
}

impl Site {
    pub fn new(options: &SiteOptions) -> Self {
        let mut tree: Vec<(String, Bytes)> = FILES
            .iter()
            .map(|&(name, len)| (name.to_owned(), noise(name, len)))
            .collect();
        for (_, load) in &LOADS {
            tree.push((format!("{}.loads", load.name), loads_file(load)));
            for &(name, len) in load.images {
                let len = len.div_ceil(options.firmware_divisor.max(1));
                tree.push((name.to_owned(), noise(name, len)));
            }
        }
        let mut oracle = SiteOracle::default();
        for (name, content) in &tree {
            oracle.files.insert(name, content.clone());
        }
        let mut csv =
            String::from("name,model,protocol,lines,secret,keys,settings,site,load,description\n");
        let phones = (0..options.phones)
            .map(|index| phone(index, options, &mut oracle, &mut csv))
            .collect();
        Self {
            phones,
            oracle,
            csv,
            tree,
        }
    }

    /// One whose phones run what they are to run: what is measured is not firmware, so there is
    /// little of it.
    pub fn without_upgrades(phones: usize) -> Self {
        Self::new(&SiteOptions {
            phones,
            upgrade_one_in: 0,
            firmware_divisor: 1024,
            ..SiteOptions::default()
        })
    }

    /// Writes the disk tree to `root` and `phones.csv` to `csv`.
    pub fn write(&self, root: &Path, csv: &Path) -> Result<()> {
        for (name, content) in &self.tree {
            let path = root.join(name);
            if let Some(folder) = path.parent() {
                fs::create_dir_all(folder)?;
            }
            fs::write(&path, content).with_context(|| format!("writing {}", path.display()))?;
        }
        fs::write(csv, &self.csv).with_context(|| format!("writing {}", csv.display()))
    }

    /// Every name a phone asks for or the site has, present or not, each once.
    pub fn names(&self) -> BTreeSet<String> {
        let asked = self.phones.iter().flat_map(|phone| &phone.files);
        let files = self.tree.iter().map(|(name, _)| name.clone());
        asked.map(|name| name.to_string()).chain(files).collect()
    }

    /// The same phones, fetching nothing but their configuration.
    pub fn configurations_only(&self) -> Vec<PhoneSpec> {
        let only = |phone: &PhoneSpec| PhoneSpec {
            files: vec![Family::config_file(&phone.device)],
            ..phone.clone()
        };
        self.phones.iter().map(only).collect()
    }

    /// Phones spread evenly over the site, at most `count`.
    pub fn sample(&self, count: usize) -> impl Iterator<Item = &PhoneSpec> {
        let step = self.phones.len().div_ceil(count.max(1)).max(1);
        self.phones.iter().step_by(step)
    }
}

fn phone(
    index: usize,
    options: &SiteOptions,
    oracle: &mut SiteOracle,
    csv: &mut String,
) -> PhoneSpec {
    let family = family(index);
    let device: Arc<str> = format!("SEP001B54{index:06X}").into();
    let number = (200_000 + index).to_string();
    let load = LOADS
        .iter()
        .find(|(of, _)| *of == family)
        .map(|(_, load)| load.name)
        .filter(|_| options.upgrade_one_in > 0 && index % options.upgrade_one_in == 7);
    let mut files = family.boot(&device, &names());
    if let Some(load) = load {
        let config = Family::config_file(&device);
        let behind = files.iter().position(|name| *name == config);
        let at = behind.map_or(files.len(), |at| at + 1);
        files.insert(at, format!("{load}.loads").into());
    }
    let (model, protocol) = (family.model(), family.protocol());
    let load = load.unwrap_or("");
    let mut lines = format!("{number}:Desk {index}");
    let mut buttons = Buttons::default();
    buttons.lines.push(number.into());
    let mut keys = String::new();
    match index {
        _ if family == Family::Sccp6911 => {}
        _ if index.is_multiple_of(SECOND_LINE_ONE_IN) => {
            let second = (600_000 + index).to_string();
            lines += &format!(";{second}:Hall {index}");
            buttons.lines.push(second.into());
        }
        _ if index.is_multiple_of(SPEED_DIAL_ONE_IN) => {
            keys = "2=speed_dial:0:Desk in front".into();
            buttons.speed_dials.push("0".into());
        }
        _ => {}
    }
    // SCCP knows no passwords; an old SIP phone may use UDP.
    let (secret, settings) = match family {
        Family::Sip7961 if index.is_multiple_of(2) => (format!("hush{index}"), "sip_transport=udp"),
        Family::Sip7961 | Family::Sip8851 => (format!("hush{index}"), "sip_transport=tcp"),
        _ => (String::new(), ""),
    };
    writeln!(
        csv,
        "{device},{model},{protocol},{lines},{secret},{keys},{settings},default,{load},\
         Desk {index} & hall"
    )
    .expect("writing to a string cannot fail");
    oracle
        .devices
        .insert(device.to_ascii_lowercase(), (family, buttons));
    PhoneSpec {
        device,
        family,
        address: Ipv4Addr::from(u32::from(options.first_address) + index as u32).into(),
        files,
    }
}

/// The families take turns, in the shares of the mix.
fn family(index: usize) -> Family {
    // 37 has no divisor in common with 100: a hundred neighbours meet every place once.
    let mut place = index * 37 % 100;
    for (family, share) in MIX {
        if place < share {
            return family;
        }
        place -= share;
    }
    unreachable!("the shares add up to a hundred")
}

/// A signed list of images: a binary header, then text.
fn loads_file(load: &Load) -> Bytes {
    let mut content = vec![0x01, 0x00, 0x02, 0x01, 0x02, 0x00];
    content.extend_from_slice(&noise(load.name, 256));
    // The header must not hold what looks like a line of text.
    for byte in &mut content {
        *byte |= 0x80;
    }
    content.extend_from_slice(b"\r\n# images\r\n");
    for (image, _) in load.images {
        content.extend_from_slice(image.as_bytes());
        content.extend_from_slice(b" \r\n");
    }
    content.into()
}

/// Bytes without a pattern, the same for the same name (splitmix64).
fn noise(name: &str, len: usize) -> Bytes {
    let mut state = name.bytes().fold(0x9e37_79b9_7f4a_7c15_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    let mut content = Vec::with_capacity(len + 8);
    while content.len() < len {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = state;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        content.extend_from_slice(&(word ^ (word >> 31)).to_le_bytes());
    }
    content.truncate(len);
    content.into()
}

/// Knows the files of a [`Site`]. Configurations are compared byte for byte where a rendered one
/// was given, and judged by what must stand in them where none was.
#[derive(Clone, Debug, Default)]
pub struct SiteOracle {
    files: FileOracle,
    rendered: FileOracle,
    /// By device name in lower case.
    devices: HashMap<String, (Family, Buttons)>,
    /// What must stand in every configuration.
    marker: String,
}

impl SiteOracle {
    /// From now on `marker` must stand in every configuration, and what was rendered before no
    /// longer counts.
    pub fn expect_everywhere(&mut self, marker: &str) {
        self.marker = marker.to_owned();
        self.rendered = FileOracle::default();
    }

    /// This is the configuration of `device`, byte for byte.
    pub fn set_rendered(&mut self, device: &str, content: Bytes) {
        self.rendered.insert(&Family::config_file(device), content);
    }
}

impl Oracle for SiteOracle {
    fn expected(&self, name: &str) -> Expected {
        let rendered = self.rendered.expected(name);
        if let Expected::Bytes(_) = rendered {
            return rendered;
        }
        let device = name.strip_suffix(".cnf.xml").map(str::to_ascii_lowercase);
        match device.is_some_and(|device| self.devices.contains_key(&device)) {
            true => Expected::Judged,
            false => self.files.expected(name),
        }
    }

    fn check(&self, name: &str, content: &[u8]) -> Result<(), String> {
        let text = std::str::from_utf8(content).map_err(|error| error.to_string())?;
        let device = name.trim_end_matches(".cnf.xml").to_ascii_lowercase();
        let (family, buttons) = self.devices.get(&device).ok_or("an unknown device")?;
        if !text.trim_end().ends_with("</device>") {
            return Err("does not end with </device>".into());
        }
        if !text.contains(&self.marker) {
            return Err(format!("does not say {:?}", self.marker));
        }
        // Lines of SCCP phones come over SCCP.
        let wanted = buttons.lines.iter().filter(|_| family.protocol() == "sip");
        for number in wanted {
            if !text.contains(&format!(">{number}<")) {
                return Err(format!("does not have line {number}"));
            }
        }
        Ok(())
    }

    fn buttons(&self, device: &str) -> Option<&Buttons> {
        let known = self.devices.get(&device.to_ascii_lowercase());
        known.map(|(_, buttons)| buttons)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_options_make_the_same_site() {
        let options = SiteOptions {
            phones: 100,
            ..SiteOptions::default()
        };
        let (one, other) = (Site::new(&options), Site::new(&options));
        assert_eq!(one.csv, other.csv);
        assert_eq!(one.tree, other.tree);
    }

    #[test]
    fn a_hundred_phones_have_the_mix() {
        for (wanted, share) in MIX {
            let count = (0..100).filter(|&index| family(index) == wanted).count();
            assert_eq!(count, share, "{wanted:?}");
        }
    }

    #[test]
    fn a_configuration_of_another_phone_is_not_accepted() {
        let options = SiteOptions {
            phones: 100,
            ..SiteOptions::default()
        };
        let site = Site::new(&options);
        let sip = site
            .phones
            .iter()
            .position(|phone| phone.family == Family::Sip7961)
            .expect("40 of them");
        let name = Family::config_file(&site.phones[sip].device);
        let device = &site.phones[sip].device;
        let lines = &site
            .oracle
            .buttons(device)
            .expect("it is of the site")
            .lines;
        let names: String = lines
            .iter()
            .map(|line| format!("<name>{line}</name>"))
            .collect();
        let right = format!("<device>{names}</device>\n");
        let wrong = "<device><name>1</name></device>\n";
        assert_eq!(site.oracle.check(&name, right.as_bytes()), Ok(()));
        assert!(site.oracle.check(&name, wrong.as_bytes()).is_err());
        assert!(site.oracle.check(&name, &right.as_bytes()[..20]).is_err());
    }
}
