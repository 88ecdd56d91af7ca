use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use roxmltree::Document;
use tempfile::TempDir;

use super::*;
use crate::content::{Catalog, Library, Lookup, Query, Settings, upstream};
use crate::inventory::{self, Inventory};
use crate::provisioning;

fn write(root: &Path, name: &str, content: &[u8]) {
    let path = root.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
}

fn root(files: &[(&str, &[u8])]) -> TempDir {
    let root = tempfile::tempdir().unwrap();
    for (name, content) in files {
        write(root.path(), name, content);
    }
    root
}

fn png(width: u32, height: u32) -> Vec<u8> {
    let mut png = b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR".to_vec();
    png.extend(width.to_be_bytes());
    png.extend(height.to_be_bytes());
    png.extend([8, 2, 0, 0, 0]);
    png
}

fn media(root: &TempDir) -> Media {
    Media::list(&Survey::of(root.path()).unwrap(), &mut Heads::default())
}

/// The texts of an element, or of an attribute of `ImageItem`, in a list.
fn told(media: &Media, list: &str, what: &str) -> Vec<String> {
    let list = media.get(list).expect("the list is written");
    let list = std::str::from_utf8(list).unwrap();
    let document = Document::parse(list).unwrap();
    let values = document
        .descendants()
        .filter_map(|node| match node.tag_name().name() {
            "ImageItem" => node.attribute(what).map(str::to_owned),
            name if name == what => node.text().map(str::to_owned),
            _ => None,
        });
    values.collect()
}

fn remarks(media: &Media) -> Vec<(&str, bool)> {
    let remarks = media.remarks.iter();
    remarks.map(|it| (it.file.as_str(), it.left_out)).collect()
}

#[test]
fn rings_are_listed_by_what_their_files_are_called() {
    let root = root(&[
        ("Old_Telephone.raw", &[0x7f; 16_080]),
        ("bell.RAW", &[0x7f; 240]),
        ("Chime.rwb", &[0; 480]),
    ]);
    let media = media(&root);
    for list in ["ringlist.xml", "distinctiveringlist.xml"] {
        assert_eq!(told(&media, list, "DisplayName"), ["bell", "Old Telephone"]);
        assert_eq!(
            told(&media, list, "FileName"),
            ["bell.RAW", "Old_Telephone.raw"]
        );
    }
    assert_eq!(told(&media, "ringlist-wb.xml", "FileName"), ["Chime.rwb"]);
    assert_eq!(media.remarks, []);
}

#[test]
fn a_ring_that_no_phone_plays_is_left_out_and_told() {
    let mut wav = b"RIFF".to_vec();
    wav.resize(480, 0);
    let root = root(&[
        ("good.raw", &[0x7f; 480]),
        ("odd.raw", &[0x7f; 250]),
        ("long.raw", &[0x7f; 16_081]),
        ("short.raw", &[0x7f; 239]),
        ("header.raw", &wav),
        ("a_ring_of_twenty_six_ch.raw", &[0x7f; 480]),
        ("half.rwb", &[0; 481]),
    ]);
    let media = media(&root);
    assert_eq!(
        told(&media, "ringlist.xml", "FileName"),
        ["good.raw", "odd.raw"]
    );
    assert!(media.get("ringlist-wb.xml").is_none());
    assert_eq!(
        remarks(&media),
        [
            ("a_ring_of_twenty_six_ch.raw", true),
            ("half.rwb", true),
            ("header.raw", true),
            ("long.raw", true),
            ("odd.raw", false),
            ("short.raw", true),
        ]
    );
}

#[test]
fn the_fifty_first_ring_is_left_out_and_told() {
    let names: Vec<_> = (0..51).map(|at| format!("{at:02}.raw")).collect();
    let files: Vec<_> = names
        .iter()
        .map(|name| (name.as_str(), &[0x7f; 240][..]))
        .collect();
    let root = root(&files);
    let media = media(&root);
    assert_eq!(told(&media, "ringlist.xml", "FileName"), &names[..50]);
    assert_eq!(remarks(&media), [("50.raw", true)]);
}

#[test]
fn pictures_are_listed_in_their_folder_with_their_thumbnails() {
    let big = png(800, 480);
    let small = png(139, 109);
    let root = root(&[
        ("Desktops/800x480x24/Sea.png", &big),
        ("Desktops/800x480x24/TN-Sea.png", &small),
        ("Desktops/320x212x16/Sea.PNG", &png(320, 212)),
        ("Desktops/320x212x16/tn-Sea.PNG", &small),
        ("Desktops/272x480x24/Sea.png", &png(272, 480)),
    ]);
    let media = media(&root);
    let list = "desktops/800x480x24/list.xml";
    assert_eq!(
        told(&media, list, "URL"),
        ["TFTP:Desktops/800x480x24/Sea.png"]
    );
    assert_eq!(
        told(&media, list, "Image"),
        ["TFTP:Desktops/800x480x24/TN-Sea.png"]
    );
    let list = "desktops/320x212x16/list.xml";
    assert_eq!(
        told(&media, list, "URL"),
        ["TFTP:Desktops/320x212x16/Sea.PNG"]
    );
    // A module takes the picture of its phone by name.
    assert!(media.get("desktops/272x480x24/list.xml").is_none());
    assert_eq!(media.remarks, []);
}

#[test]
fn a_picture_of_another_size_is_warned_about_and_what_is_none_is_left_out() {
    let small = png(80, 53);
    let root = root(&[
        ("Desktops/320x196x4/wide.png", &png(640, 480)),
        ("Desktops/320x196x4/TN-wide.png", &small),
        ("Desktops/320x196x4/alone.png", &png(320, 196)),
        ("Desktops/320x196x4/jpeg.png", b"\xff\xd8\xff\xe0"),
        ("Desktops/320x196x4/TN-jpeg.png", &small),
        ("Desktops/320x196x4/cut.png", &png(320, 196)[..20]),
        ("Desktops/320x196/lost.png", &small),
    ]);
    let media = media(&root);
    let list = "desktops/320x196x4/list.xml";
    assert_eq!(
        told(&media, list, "URL"),
        ["TFTP:Desktops/320x196x4/wide.png"]
    );
    assert_eq!(
        remarks(&media),
        [
            ("Desktops/320x196", false),
            ("Desktops/320x196x4/alone.png", true),
            ("Desktops/320x196x4/cut.png", true),
            ("Desktops/320x196x4/jpeg.png", true),
            ("Desktops/320x196x4/wide.png", false),
        ]
    );
}

/// A library over a folder, and an inventory with nothing in it.
struct Site {
    root: TempDir,
    _database: TempDir,
    library: Arc<Library>,
}

impl Site {
    fn start(root: TempDir) -> Self {
        let database = tempfile::tempdir().unwrap();
        let inventory = Inventory::open(&inventory::Settings {
            database: database.path().join("inventory.db"),
            ..inventory::Settings::default()
        });
        let settings = Settings {
            root: root.path().into(),
            ..Settings::default()
        };
        let library = Library::start(
            &settings,
            upstream::Settings::default(),
            inventory.unwrap(),
            provisioning::Settings::default(),
            Arc::default(),
            Vec::new(),
        );
        Self {
            root,
            _database: database,
            library: library.unwrap(),
        }
    }

    fn text(&self, name: &str) -> Option<String> {
        let client = std::net::Ipv4Addr::LOCALHOST.into();
        match self.library.lookup(Query::new(name.as_bytes(), client)) {
            Lookup::Found(version) => Some(String::from_utf8(version.bytes.to_vec()).unwrap()),
            _ => None,
        }
    }

    fn until(&self, name: &str, is_so: impl Fn(Option<&str>) -> bool) {
        let deadline = Instant::now() + Duration::from_secs(20);
        while !is_so(self.text(name).as_deref()) {
            assert!(Instant::now() < deadline, "{name}: {:?}", self.text(name));
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

#[test]
fn a_list_follows_the_disk_and_one_on_disk_goes_before_it() {
    let site = Site::start(root(&[("bell.raw", &[0x7f; 240])]));
    assert!(site.text("RingList.xml").unwrap().contains("bell.raw"));
    let count = site.library.counts().generated;

    write(site.root.path(), "horn.raw", &[0x7f; 240]);
    site.until("ringlist.xml", |list| {
        list.is_some_and(|list| list.contains("horn.raw"))
    });

    write(site.root.path(), "RINGLIST.XML", b"mine");
    site.until("Ringlist.xml", |list| list == Some("mine"));
    assert!(
        site.text("DistinctiveRingList.xml")
            .unwrap()
            .contains("horn.raw")
    );

    fs::remove_file(site.root.path().join("RINGLIST.XML")).unwrap();
    site.until("Ringlist.xml", |list| {
        list.is_some_and(|list| list.contains("bell.raw"))
    });

    for ring in ["bell.raw", "horn.raw"] {
        fs::remove_file(site.root.path().join(ring)).unwrap();
    }
    site.until("Ringlist.xml", |list| list.is_none());
    site.until("DistinctiveRingList.xml", |list| list.is_none());
    let deadline = Instant::now() + Duration::from_secs(20);
    while site.library.counts().generated != count - 2 {
        assert!(Instant::now() < deadline, "{:?}", site.library.counts());
    }
}
