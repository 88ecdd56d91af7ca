//! The lists of what a user of a phone can choose: ring tones and background pictures.
//!
//! A phone reads at most 50 entries of a list, and shows 25 characters of a ring's name. What goes
//! beyond is left out here, rather than have the phone refuse the whole list.
//!
//! Sources: Cisco's administration guides for 7900 and 8800 phones (custom rings, `List.xml`), and
//! the pages on ring tones and background images at usecallmanager.nz.

use super::xml::Xml;

/// The most entries of a list.
pub const MAX_ENTRIES: usize = 50;

/// The most characters of the name and of the file of a ring.
pub const MAX_RING_NAME: usize = 25;

/// A ring tone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ring {
    /// As users see it.
    pub display_name: String,
    /// As it lies beneath the root.
    pub file_name: String,
}

/// A background picture; both paths beneath the root, such as `Desktops/800x480x24/Harbour.png`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wallpaper {
    pub thumbnail: String,
    pub image: String,
}

/// How a ring is recorded: raw samples without a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RingFormat {
    /// `.raw`: 8 bits, µ-law, 8 kHz.
    Narrow,
    /// `.rwb`: 16 bits, 16 kHz.
    Wide,
}

impl RingFormat {
    /// By the file's suffix, in any case.
    pub fn of_name(file_name: &str) -> Option<Self> {
        match file_name.rsplit_once('.')?.1.to_ascii_lowercase().as_str() {
            "raw" => Some(Self::Narrow),
            "rwb" => Some(Self::Wide),
            _ => None,
        }
    }

    /// Whether a phone plays a recording of this length; if not, why.
    pub fn check_len(self, len_bytes: u64) -> Result<(), String> {
        let (most, bytes_a_sample) = match self {
            Self::Narrow => (16_080, 1),
            Self::Wide => (160_800, 2),
        };
        if !len_bytes.is_multiple_of(bytes_a_sample) {
            return Err(format!("{len_bytes} bytes are no whole number of samples"));
        }
        match len_bytes / bytes_a_sample {
            samples if !(240..=most).contains(&samples) => Err(format!(
                "it has {samples} samples, phones play 240 to {most}"
            )),
            _ => Ok(()),
        }
    }
}

/// `Ringlist.xml`: the rings a user can choose.
pub fn ring_list(rings: &[Ring]) -> Vec<u8> {
    rings_document(rings)
}

/// `DistinctiveRingList.xml`: the rings that a call can ask for. It is written like the other list.
pub fn distinctive_ring_list(rings: &[Ring]) -> Vec<u8> {
    rings_document(rings)
}

fn rings_document(rings: &[Ring]) -> Vec<u8> {
    let mut buffer = Vec::new();
    let mut xml = Xml::new(&mut buffer);
    xml.nest("CiscoIPPhoneRingList", |xml| {
        for ring in rings
            .iter()
            .filter(|ring| is_playable(ring))
            .take(MAX_ENTRIES)
        {
            xml.nest("Ring", |xml| {
                let name: String = ring.display_name.chars().take(MAX_RING_NAME).collect();
                xml.text("DisplayName", &name);
                xml.text("FileName", &ring.file_name);
            });
        }
    });
    xml.finish();
    buffer
}

/// A file name cannot be shortened as a name for people can: a phone would ask for another file.
fn is_playable(ring: &Ring) -> bool {
    ring.file_name.chars().count() <= MAX_RING_NAME
}

/// `Desktops/<W>x<H>x<D>/List.xml`: the pictures a user can choose. They are named with `TFTP:`
/// even where a phone then fetches them over HTTP.
pub fn wallpaper_list(pictures: &[Wallpaper]) -> Vec<u8> {
    let mut buffer = Vec::new();
    let mut xml = Xml::new(&mut buffer);
    xml.nest("CiscoIPPhoneImageList", |xml| {
        for picture in pictures.iter().take(MAX_ENTRIES) {
            let [thumbnail, image] =
                [&picture.thumbnail, &picture.image].map(|path| format!("TFTP:{path}"));
            let attributes = [("Image", thumbnail.as_str()), ("URL", image.as_str())];
            xml.text_with("ImageItem", &attributes, "");
        }
    });
    xml.finish();
    buffer
}

#[cfg(test)]
mod tests {
    use roxmltree::Document;

    use super::*;

    fn ring(display_name: &str, file_name: &str) -> Ring {
        Ring {
            display_name: display_name.into(),
            file_name: file_name.into(),
        }
    }

    #[test]
    fn a_ring_has_its_name_and_its_file() {
        let list = ring_list(&[ring("Bell & whistle", "Bell.raw")]);
        insta::assert_snapshot!(String::from_utf8(list).unwrap(), @r#"
        <?xml version="1.0" encoding="UTF-8"?>
        <CiscoIPPhoneRingList>
        <Ring>
        <DisplayName>Bell &amp; whistle</DisplayName>
        <FileName>Bell.raw</FileName>
        </Ring>
        </CiscoIPPhoneRingList>
        "#);
    }

    #[test]
    fn a_list_ends_after_50_entries_and_names_after_25_characters() {
        let rings: Vec<_> = (0..60)
            .map(|number| ring(&"ä".repeat(30), &format!("{number}.raw")))
            .collect();
        let list = String::from_utf8(distinctive_ring_list(&rings)).unwrap();
        let document = Document::parse(&list).unwrap();
        let names: Vec<_> = document
            .descendants()
            .filter(|node| node.has_tag_name("DisplayName"))
            .map(|node| node.text().unwrap())
            .collect();
        assert_eq!(names.len(), 50);
        assert!(names.iter().all(|name| *name == "ä".repeat(25)));

        let pictures = vec![
            Wallpaper {
                thumbnail: "Desktops/800x480x24/t.png".into(),
                image: "Desktops/800x480x24/i.png".into(),
            };
            60
        ];
        let list = String::from_utf8(wallpaper_list(&pictures)).unwrap();
        assert_eq!(list.matches("<ImageItem ").count(), 50);
    }

    #[test]
    fn a_ring_whose_file_no_phone_could_ask_for_is_left_out() {
        let list = ring_list(&[
            ring("Long", "A_very_long_ring_tone_of_the_old_house.raw"),
            ring("Short", "Short.raw"),
        ]);
        let list = String::from_utf8(list).unwrap();
        assert!(
            !list.contains("Long") && list.contains("Short.raw"),
            "{list}"
        );
    }

    #[test]
    fn a_picture_is_named_with_the_scheme_that_phones_know() {
        let picture = Wallpaper {
            thumbnail: "Desktops/800x480x24/TN-Sea \"3\".png".into(),
            image: "Desktops/800x480x24/Sea.png".into(),
        };
        let list = String::from_utf8(wallpaper_list(&[picture])).unwrap();
        let document = Document::parse(&list).unwrap();
        let item = document
            .descendants()
            .find(|node| node.has_tag_name("ImageItem"))
            .unwrap();
        assert_eq!(
            (item.attribute("Image"), item.attribute("URL")),
            (
                Some("TFTP:Desktops/800x480x24/TN-Sea \"3\".png"),
                Some("TFTP:Desktops/800x480x24/Sea.png")
            )
        );
    }

    #[test]
    fn a_recording_is_as_long_as_a_phone_can_play() {
        for (name, len, plays) in [
            ("a.raw", 239, false),
            ("a.RAW", 240, true),
            ("a.raw", 16_080, true),
            ("a.raw", 16_081, false),
            ("a.rwb", 480, true),
            ("a.rwb", 481, false),
            ("a.rwb", 321_600, true),
            ("a.rwb", 321_602, false),
        ] {
            let format = RingFormat::of_name(name).unwrap();
            assert_eq!(format.check_len(len).is_ok(), plays, "{name} {len}");
        }
        assert_eq!(RingFormat::of_name("a.wav"), None);
        assert_eq!(RingFormat::of_name("raw"), None);
    }
}
