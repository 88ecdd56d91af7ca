//! `<load>.loads`, signed or not.
//!
//! Input: the file. What it names can be asked for, each image once; a plain list of the same images
//! names the same; a fault has its place.

use std::collections::HashSet;

use tftp_ebpf::name::normalise;
use tftp_edge::firmware::{Loads, LoadsError};

use crate::memory::within;

const MAX_IMAGES: usize = 256;

pub fn run(input: &[u8]) {
    // A byte that is no UTF-8 becomes three.
    match within(input, 24, 64 << 10, || Loads::parse(input)) {
        Ok(loads) => check(&loads),
        Err(LoadsError::NoText(at)) => assert!(at < input.len()),
        Err(LoadsError::Name { line, name }) => {
            let lines = input.iter().filter(|&&byte| byte == b'\n').count() + 1;
            assert!((1..=lines).contains(&line));
            assert!(name.chars().count() <= 80);
        }
        Err(LoadsError::CutOff { header, file }) => assert!(file == input.len() && header > file),
        Err(LoadsError::TooLong(len)) => assert_eq!(len, input.len() as u64),
        Err(_) => {}
    }
}

fn names(loads: &Loads) -> Vec<&str> {
    loads
        .images
        .iter()
        .map(|image| image.name.as_str())
        .collect()
}

fn check(loads: &Loads) {
    assert!((1..=MAX_IMAGES).contains(&loads.images.len()));
    let mut seen = HashSet::new();
    for image in &loads.images {
        let mut buffer = [0; 500];
        let name = normalise(image.name.as_bytes(), &mut buffer).expect("a phone can ask for it");
        assert!(seen.insert(name.to_vec()), "{} is there twice", image.name);
    }
    // Where a line with nothing else would be a comment, the name stands behind a word.
    let line = |name: &&str| match name.starts_with(['#', '[', ';']) {
        true => format!("image={name}"),
        false => (*name).to_owned(),
    };
    let plain: Vec<_> = names(loads).iter().map(line).collect();
    let plain = plain.join("\r\n");
    let again = Loads::parse(plain.as_bytes()).unwrap_or_else(|error| panic!("{error}: {plain}"));
    assert_eq!(names(&again), names(loads));
}
