use proptest::prelude::*;

use super::*;

/// A list as Cisco signs it: version 1.2, the length of the header, a signature of any bytes.
fn signed(text: &str) -> Vec<u8> {
    let mut file = vec![1, 0, 2, 1, 2, 2, 0, 2, 0, 0, 12, 0, 64];
    file.extend([0xa5; 64]);
    // To a multiple of four.
    file.extend([13; 3]);
    let header = u16::try_from(file.len()).unwrap().to_be_bytes();
    file[8..10].copy_from_slice(&header);
    file.extend(text.as_bytes());
    file
}

fn names(bytes: &[u8]) -> Vec<String> {
    let loads = Loads::parse(bytes).unwrap();
    loads.images.into_iter().map(|image| image.name).collect()
}

#[test]
fn a_signed_list_names_one_image_a_line() {
    let file = signed(
        "# Release 9.4(2)SR3\r\n\r\napps41.9-4-2ES26.sbn   \r\ncnu41.9-4-2ES26.sbn\r\n\
         jar41sccp.9-4-2ES26.sbn \r\n",
    );
    assert!(Loads::parse(&file).unwrap().signed);
    assert_eq!(
        names(&file),
        [
            "apps41.9-4-2ES26.sbn",
            "cnu41.9-4-2ES26.sbn",
            "jar41sccp.9-4-2ES26.sbn"
        ]
    );
}

#[test]
fn a_list_without_a_signature_is_one_too() {
    let loads = Loads::parse(b"P00308000500.bin\nP00308000500.sb2\n").unwrap();
    assert!(!loads.signed);
    assert_eq!(loads.images.len(), 2);
}

#[test]
fn the_lists_of_wireless_phones_say_how_long_an_image_is_and_its_sum() {
    let file = signed(
        "#? HW_REV 1\r\n#? SW_CAP 2\r\n\
         APPS-1.4.3.4.SBN 1234567 0123456789abcdef0123456789ABCDEF\r\n\
         GUI-1.4.3.4.SBN,99,00000000000000000000000000000001\r\n",
    );
    let loads = Loads::parse(&file).unwrap();
    let [apps, gui] = &loads.images[..] else {
        panic!("two images: {loads:?}")
    };
    assert_eq!(
        (&*apps.name, apps.size_bytes),
        ("APPS-1.4.3.4.SBN", Some(1_234_567))
    );
    assert_eq!(apps.md5.unwrap()[..3], [0x01, 0x23, 0x45]);
    assert_eq!((gui.size_bytes, gui.md5.unwrap()[15]), (Some(99), 1));
}

#[test]
fn the_images_of_every_hardware_count_each_once() {
    let file = signed(
        "[PLATFORM_1]\r\nhwcompat=1,2\r\nswcompat=10.3.1\r\nkern=kern78xx.10-3-1-12.sbn\r\n\
         rootfs78xx.10-3-1-12.sbn\r\nPLATFORM_2\r\nswcompat 10.3.1\r\n\
         kern2=kern278xx.10-3-1-12.sbn\r\nROOTFS78xx.10-3-1-12.sbn\r\n",
    );
    assert_eq!(
        names(&file),
        [
            "kern78xx.10-3-1-12.sbn",
            "rootfs78xx.10-3-1-12.sbn",
            "kern278xx.10-3-1-12.sbn"
        ]
    );
}

#[test]
fn images_are_told_by_their_suffix() {
    for name in [
        "a.sbn",
        "A.SBN",
        "a.sb2",
        "a.bin",
        "a.sebn",
        "a.zz",
        "a.zz.sgn",
        "a.bin3.sgn",
        "a.zup",
        "a.sbin",
    ] {
        assert!(is_image(name), "{name}");
    }
    for name in ["a", ".sbn", "a.loads", "a.txt", "a.sbnx", "a.sgn", "10.3.1"] {
        assert!(!is_image(name), "{name}");
    }
}

#[test]
fn what_is_no_list_is_said_to_be_none() {
    for (file, error) in [
        (&b""[..], LoadsError::Empty),
        (b" \r\n\0\0", LoadsError::Empty),
        (
            b"<!DOCTYPE html><title>404 not.found</title>",
            LoadsError::WebPage,
        ),
        (b"\r\n<HTML><a href=x.sbn>", LoadsError::WebPage),
        (b"# nothing but a remark\r\n", LoadsError::NoImages),
        (b"PK\x03\x04", LoadsError::NoText(2)),
        (
            &signed("a.sbn")[..40],
            LoadsError::CutOff {
                header: 80,
                file: 40,
            },
        ),
        (
            &signed("a.sbn")[..4],
            LoadsError::CutOff {
                header: 10,
                file: 4,
            },
        ),
        (&signed("")[..], LoadsError::NoImages),
        (
            b"ok.sbn\n../../etc/x.sbn\n",
            LoadsError::Name {
                line: 2,
                name: "../../etc/x.sbn".into(),
            },
        ),
    ] {
        assert_eq!(Loads::parse(file), Err(error), "{file:?}");
    }
}

#[test]
fn a_list_is_bounded() {
    let lines = |count: usize| -> String { (0..count).map(|at| format!("{at}.sbn\n")).collect() };
    assert_eq!(names(lines(MAX_IMAGES).as_bytes()).len(), MAX_IMAGES);
    assert_eq!(
        Loads::parse(lines(MAX_IMAGES + 1).as_bytes()),
        Err(LoadsError::TooManyImages)
    );
    let long = vec![b'a'; MAX_LEN as usize + 1];
    assert_eq!(Loads::parse(&long), Err(LoadsError::TooLong(MAX_LEN + 1)));
}

proptest! {
    #[test]
    fn any_bytes_are_a_list_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let _ = Loads::parse(&bytes);
    }

    #[test]
    fn a_signed_file_cut_anywhere_never_names_what_was_not_in_it(cut in 0usize..100) {
        let whole = signed("apps.sbn\r\njar.sbn\r\n");
        let cut = cut.min(whole.len());
        if let Ok(loads) = Loads::parse(&whole[..cut]) {
            let text = "apps.sbn jar.sbn";
            prop_assert!(loads.images.iter().all(|image| text.contains(&image.name)));
            prop_assert!(cut > 80);
        }
    }

    #[test]
    fn names_come_back_in_order_whatever_the_line_ends_and_spaces(
        stems in prop::collection::hash_set("[a-z0-9]{1,12}(-[a-zA-Z0-9]{1,6})?", 1..20),
        space in "[ \t]{0,5}",
        end in prop::sample::select(vec!["\n", "\r\n"]),
        is_signed: bool,
    ) {
        let written: Vec<_> = stems.iter().map(|stem| format!("{stem}.sbn")).collect();
        let lowered: HashSet<_> = written.iter().map(|name| name.to_lowercase()).collect();
        prop_assume!(lowered.len() == written.len());
        let text: String = written.iter().map(|name| format!("{name}{space}{end}")).collect();
        let file = if is_signed { signed(&text) } else { text.into_bytes() };
        prop_assert_eq!(names(&file), written);
    }
}
