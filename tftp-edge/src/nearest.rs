//! Which name may be meant by one that nobody knows.

/// The known name nearest to one that is not known, if any is near.
pub fn nearest<'n>(name: &str, known: impl IntoIterator<Item = &'n str>) -> Option<&'n str> {
    let folded = name.to_ascii_lowercase();
    let distance = |known: &str| strsim::osa_distance(&folded, &known.to_ascii_lowercase());
    let near = known.into_iter().map(|known| (distance(known), known));
    // A third of the letters may be wrong: beyond that it is another word.
    near.filter(|&(distance, known)| distance * 3 <= known.len().max(folded.len()))
        .min()
        .map(|(_, known)| known)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_finger_is_told_and_another_word_is_not() {
        let known = ["model", "lines", "voicemail"];
        for (name, meant) in [
            ("modle", Some("model")),
            ("Voice_Mail", Some("voicemail")),
            ("line", Some("lines")),
            ("colour", None),
        ] {
            assert_eq!(nearest(name, known), meant, "{name}");
        }
    }
}
