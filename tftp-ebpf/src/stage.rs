//! The stages of a phone's boot that are file requests, told apart by name.

/// What a requested file is for. The label value `class` of the metrics, and the stage of the
/// boot journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Stage {
    /// `CTLSEP<MAC>.tlv`, `ITLSEP<MAC>.tlv`, `CTLFile.tlv`, `ITLFile.tlv`.
    Trust = 0,
    /// A device's own configuration: `SEP<MAC>.cnf.xml`, `SIP<MAC>.cnf` and their like.
    Config = 1,
    /// `XMLDefault.cnf.xml` and the other defaults a phone falls back to.
    Default = 2,
    /// `<load>.loads` and the images it names.
    Firmware = 3,
    /// `dialplan.xml`, `DR<id>.xml`, `AppDialRules.xml`.
    DialRules = 4,
    /// `<locale>/*.jar`, `<country>/g3-tones.xml`, dictionaries.
    Locale = 5,
    /// `SK<id>.xml` and feature policies.
    SoftKeys = 6,
    /// `Ringlist.xml`, `DistinctiveRingList.xml`, `*.raw`.
    Rings = 7,
    /// Everything else.
    Other = 8,
}

impl Stage {
    pub const COUNT: usize = 9;

    pub const ALL: [Self; Self::COUNT] = [
        Self::Trust,
        Self::Config,
        Self::Default,
        Self::Firmware,
        Self::DialRules,
        Self::Locale,
        Self::SoftKeys,
        Self::Rings,
        Self::Other,
    ];

    /// The metric label and the word used in the journal, the web page and the documentation.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Trust => "trust",
            Self::Config => "config",
            Self::Default => "default",
            Self::Firmware => "firmware",
            Self::DialRules => "dialrules",
            Self::Locale => "locale",
            Self::SoftKeys => "softkeys",
            Self::Rings => "rings",
            Self::Other => "other",
        }
    }

    /// The stage with this number, [`Stage::Other`] for a number that is none.
    pub const fn from_index(index: u8) -> Self {
        if (index as usize) < Self::COUNT {
            Self::ALL[index as usize]
        } else {
            Self::Other
        }
    }

    /// Tells the stage from a normalised (lower-case, `/`-separated) file name.
    pub fn of_name(name: &[u8]) -> Self {
        let base = match name.iter().rposition(|&byte| byte == b'/') {
            Some(slash) => &name[slash + 1..],
            None => name,
        };
        // A phone that holds a trust list asks for the signed twin of every other file.
        let base = base.strip_suffix(b".sgn").unwrap_or(base);
        let base = base.strip_suffix(b".enc").unwrap_or(base);
        let starts = |prefix: &[u8]| base.starts_with(prefix);
        let ends = |suffix: &[u8]| base.ends_with(suffix);

        if ends(b".tlv") {
            return Self::Trust;
        }
        if starts(b"xmldefault")
            || starts(b"sepdefault")
            || starts(b"sipdefault")
            || starts(b"atadefault")
            || base == b"os79xx.txt"
        {
            return Self::Default;
        }
        if ends(b".cnf.xml") || ends(b".cnf") {
            return Self::Config;
        }
        if base == b"dialplan.xml"
            || base == b"appdialrules.xml"
            || base == b"dirlookupdialrules.xml"
            || (starts(b"dr") && ends(b".xml"))
        {
            return Self::DialRules;
        }
        if starts(b"sk") && ends(b".xml") || starts(b"defaultfp") || starts(b"fcp") {
            return Self::SoftKeys;
        }
        if starts(b"ringlist") || starts(b"distinctiveringlist") || ends(b".raw") || ends(b".rwb") {
            return Self::Rings;
        }
        if ends(b".jar")
            || ends(b"-tones.xml")
            || ends(b"-dictionary.xml")
            || ends(b"-dictionary-ext.xml")
            || ends(b"-font.xml")
            || ends(b"-kate.xml")
        {
            return Self::Locale;
        }
        const IMAGES: [&[u8]; 9] = [
            b".loads", b".sbn", b".sb2", b".bin", b".sebn", b".zz", b".zup", b".sbin", b".img",
        ];
        if IMAGES.iter().any(|suffix| base.ends_with(suffix)) {
            return Self::Firmware;
        }
        Self::Other
    }
}

#[cfg(test)]
mod tests {
    use super::Stage;

    #[test]
    fn names_of_a_boot_fall_into_their_stages() {
        for (name, stage) in [
            ("ctlsep001122334455.tlv", Stage::Trust),
            ("itlfile.tlv", Stage::Trust),
            ("sep001122334455.cnf.xml", Stage::Config),
            ("sep001122334455.cnf.xml.sgn", Stage::Config),
            ("sep001122334455.cnf.xml.enc.sgn", Stage::Config),
            ("sip001122334455.cnf", Stage::Config),
            ("xmldefault.cnf.xml", Stage::Default),
            ("os79xx.txt", Stage::Default),
            ("sccp41.9-4-2sr3-1s.loads", Stage::Firmware),
            ("apps41.9-4-2es26.sbn", Stage::Firmware),
            ("dialplan.xml", Stage::DialRules),
            ("german_germany/mk-sip.jar", Stage::Locale),
            ("germany/g3-tones.xml", Stage::Locale),
            ("7960-tones.xml", Stage::Locale),
            ("sk1234.xml", Stage::SoftKeys),
            ("ringlist.xml", Stage::Rings),
            ("old_telephone.raw", Stage::Rings),
            ("desktops/320x196x4/list.xml", Stage::Other),
        ] {
            assert_eq!(Stage::of_name(name.as_bytes()), stage, "{name}");
        }
    }

    #[test]
    fn the_number_of_a_stage_leads_back_to_it() {
        for stage in Stage::ALL {
            assert_eq!(Stage::from_index(stage as u8), stage);
        }
        assert_eq!(Stage::from_index(200), Stage::Other);
    }
}
