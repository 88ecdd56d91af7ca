use std::fs;

use proptest::prelude::*;
use tempfile::TempDir;

use super::*;
use crate::inventory::{Contents, Line, Protocol, Site};

fn snapshot(devices: Vec<Device>) -> Snapshot {
    let berlin = BTreeMap::from([("voicemail".to_owned(), "8500".to_owned())]);
    let contents = Contents {
        devices,
        sites: BTreeMap::from([("Berlin".to_owned(), berlin)]),
        ..Contents::default()
    };
    Snapshot::new(contents, &Site::default())
}

fn phone() -> Device {
    Device {
        site: "Berlin".into(),
        description: "Tea & <cake>".into(),
        lines: vec![Line {
            number: "1001".into(),
            secret: "s3cret".into(),
            ..Line::default()
        }],
        ..Device::new("SEP001122334455".parse().unwrap(), "8845", Protocol::Sip)
    }
}

fn templates(sources: &[(&str, &str)]) -> Templates {
    let owned = |(name, source): &(&str, &str)| ((*name).to_owned(), Ok((*source).to_owned()));
    Templates::new(sources.iter().map(owned).collect())
}

/// The configuration of the phone with these templates.
fn rendered(sources: &[(&str, &str)]) -> Result<String, String> {
    let device = phone();
    let mut renderer = Renderer::default();
    let bytes = templates(sources).device(&mut renderer, &device, &snapshot(vec![device.clone()]));
    let bytes = bytes.map_err(|error| error.to_string())?;
    Ok(String::from_utf8(bytes.into_owned()).unwrap())
}

fn plain() -> String {
    rendered(&[]).unwrap()
}

fn without_stamp(document: &str) -> String {
    let stamp = document
        .lines()
        .find(|line| line.starts_with("<versionStamp>"));
    document.replace(stamp.unwrap_or("-"), "")
}

#[test]
fn the_most_specific_template_is_taken() {
    let all = [
        ("SEP.cnf.xml", "<a/>"),
        ("model/8845/SEP.cnf.xml", "<b/>"),
        ("site/berlin/SEP.cnf.xml", "<c/>"),
        ("site/berlin/model/8845/SEP.cnf.xml", "<d/>"),
        ("device/sep001122334455.CNF.xml", "<e/>"),
        ("device/SEP001122334456.cnf.xml", "<f/>"),
        ("site/hamburg/SEP.cnf.xml", "<g/>"),
    ];
    for (count, expected) in [
        (1, "<a/>"),
        (2, "<b/>"),
        (3, "<c/>"),
        (4, "<d/>"),
        (7, "<e/>"),
    ] {
        assert_eq!(rendered(&all[..count]).unwrap(), expected);
    }
    assert_eq!(rendered(&[]).unwrap(), plain());
}

#[test]
fn one_element_is_added_to_all_phones_of_a_model_in_a_site() {
    let source = "{{ generated | set_element('vendorConfig/brandNew', 1) }}";
    let file = rendered(&[("site/Berlin/model/8845/SEP.cnf.xml", source)]).unwrap();
    let expected = plain().replace("</vendorConfig>", "<brandNew>1</brandNew>\n</vendorConfig>");
    assert_eq!(without_stamp(&file), without_stamp(&expected));
}

#[test]
fn filters_set_remove_and_append_elements() {
    for (filter, from, to) in [
        (
            "set_element('vendorConfig/webAccess', '<0>')",
            "<webAccess>1<",
            "<webAccess>&lt;0&gt;<",
        ),
        (
            "set_element('sipProfile/natAddress', '10.0.0.1')",
            "<natAddress/>",
            "<natAddress>10.0.0.1</natAddress>",
        ),
        (
            "remove_element('vendorConfig/garp')",
            "<garp>1</garp>\n",
            "",
        ),
        (
            "append_xml('', '<x y=\"1\"/>')",
            "</device>",
            "<x y=\"1\"/>\n</device>",
        ),
        (
            "append_xml('sipProfile/natAddress', '<x/>')",
            "<natAddress/>",
            "<natAddress>\n<x/>\n</natAddress>",
        ),
        (
            "replace('<garp>1</garp>'|safe, '<garp>0</garp>'|safe)",
            "<garp>1</garp>",
            "<garp>0</garp>",
        ),
    ] {
        let source = format!("{{{{ generated | {filter} }}}}");
        let file = rendered(&[("SEP.cnf.xml", &source)]).unwrap();
        assert!(plain().contains(from), "{from}");
        let expected = plain().replacen(from, to, 1);
        assert_eq!(without_stamp(&file), without_stamp(&expected), "{filter}");
    }
    for filter in ["remove_element('nowhere')", "set_element('no/where', 1)"] {
        let source = format!("{{{{ generated | {filter} }}}}");
        let error = rendered(&[("SEP.cnf.xml", &source)]).unwrap_err();
        assert!(error.contains("there is no element \"no"), "{error}");
    }
}

#[test]
fn a_template_knows_the_device_its_lines_and_its_settings() {
    let source = "<x a=\"{{ device.name }} {{ device.model }} {{ device.mac }}\">\
                  {{ device.description }}|{{ line.number }}|\
                  {% for line in lines %}{{ line.button }}={{ line.secret }}{% endfor %}|\
                  {{ settings.voicemail }}|{{ site.name }}|{{ model.type_id }}|\
                  {% if load %}{{ load }}{% else %}keeps{% endif %}</x>";
    assert_eq!(
        rendered(&[("SEP.cnf.xml", source)]).unwrap(),
        "<x a=\"SEP001122334455 8845 001122334455\">\
         Tea &amp; &lt;cake&gt;|1001|1=s3cret|8500|Berlin|36224|keeps</x>"
    );
}

#[test]
fn templates_include_and_extend_each_other_and_nothing_else() {
    let parts = (
        "parts/base.xml",
        "<x>{% block inner %}old{% endblock %}</x>",
    );
    let extending = "{% extends 'parts/base.xml' %}{% block inner %}new{% endblock %}";
    assert_eq!(
        rendered(&[parts, ("SEP.cnf.xml", extending)]).unwrap(),
        "<x>new</x>"
    );
    let outside = "<x>{% include '../../etc/passwd' %}</x>";
    let error = rendered(&[("SEP.cnf.xml", outside)]).unwrap_err();
    assert!(
        error.contains("SEP.cnf.xml") && error.contains("passwd"),
        "{error}"
    );
}

#[test]
fn what_is_wrong_is_told_with_template_and_line() {
    for (source, parts) in [
        (
            "<x>\n{{ lines[",
            &["template SEP.cnf.xml, line 2", "syntax"][..],
        ),
        (
            "<x>\n\n{{ nothing }}</x>",
            &["SEP.cnf.xml, line 3", "undefined"],
        ),
        ("{{ device.colour }}", &["line 1", "undefined"]),
        ("<x><y></x>", &["is no XML", "output line 1"]),
        (
            "<x/>\n<y/>",
            &["is no XML", "output line 2", "second element"],
        ),
        ("<x>&nbsp;</x>", &["entity &nbsp;"]),
        ("text", &["outside of the document's element"]),
        ("", &["it has no element"]),
        ("<!DOCTYPE x><x/>", &["a document type"]),
        ("<x a=\"1\" a=\"2\"/>", &["is no XML"]),
        (
            "{% for i in range(9999) %}{% for j in range(9999) %}{% endfor %}{% endfor %}",
            &["fuel"],
        ),
        (
            "<x>{% for i in range(9000) %}{{ generated }}{% endfor %}</x>",
            &["2097152 at most"],
        ),
    ] {
        let error = rendered(&[("SEP.cnf.xml", source)]).unwrap_err();
        for part in parts {
            assert!(error.contains(part), "{source}: {error}");
        }
    }
    // One that is broken is the concern of the files that use it.
    assert!(rendered(&[("model/7941/SEP.cnf.xml", "{{")]).is_ok());
    // The file that is wrong is told, not the one that includes it.
    let error = rendered(&[
        ("part.xml", "\n{{ nothing }}"),
        ("SEP.cnf.xml", "{% include 'part.xml' %}"),
    ]);
    let error = error.unwrap_err();
    assert!(error.contains("template part.xml, line 2"), "{error}");
}

#[test]
fn the_version_stamp_follows_the_content_of_the_template() {
    let stamp = |source: &str| {
        let file = rendered(&[("SEP.cnf.xml", source)]).unwrap();
        let stamp = file.lines().find(|line| line.starts_with("<versionStamp>"));
        stamp.unwrap().to_owned()
    };
    let set = |value: u8| format!("{{{{ generated | set_element('vendorConfig/x', {value}) }}}}");
    assert_eq!(stamp(&set(1)), stamp(&set(1)));
    assert_ne!(stamp(&set(1)), stamp(&set(2)));
    assert_ne!(stamp(&set(1)), stamp("{{ generated }}"));
    // Untouched, it is our own file to the last byte.
    assert_eq!(
        rendered(&[("SEP.cnf.xml", "{{ generated }}\n")]).unwrap(),
        plain()
    );
    let own = "<x>\n<versionStamp>{Jan 01 2003 00:00:00}</versionStamp>\n</x>";
    assert!(!stamp(own).contains("2003"));
}

#[test]
fn a_shared_file_has_the_settings_of_its_site() {
    let templates = templates(&[
        ("XMLDefault.cnf.xml", "<x>{{ settings.voicemail }}</x>"),
        (
            "site/Berlin/XMLDefault.cnf.xml",
            "<y>{{ settings.voicemail }}</y>",
        ),
        (
            "sipdefault.cnf",
            "{{ generated }}logo_url: \"{{ 'a\"b' }}\"\n",
        ),
    ]);
    let snapshot = snapshot(Vec::new());
    let mut renderer = Renderer::default();
    let file = templates.xml_default(&mut renderer, DEFAULT_SITE, &snapshot);
    assert_eq!(&*file.unwrap(), b"<x></x>");
    let file = templates.xml_default(&mut renderer, "Berlin", &snapshot);
    assert_eq!(&*file.unwrap(), b"<y>8500</y>");
    let file = templates.shared(&mut renderer, &SharedFile::SipDefault, &snapshot);
    let file = String::from_utf8(file.unwrap().into_owned()).unwrap();
    assert!(
        file.starts_with("proxy1_address: ") && file.ends_with("logo_url: \"a'b\"\n"),
        "{file}"
    );
}

#[test]
fn a_folder_is_read_without_what_editors_leave_and_links_that_lead_out() {
    let folder = TempDir::new().unwrap();
    let outside = TempDir::new().unwrap();
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    write("model/8845/SEP.cnf.xml", "<x/>");
    write("model/8845/.SEP.cnf.xml.swp", "{{");
    write("model/8845/SEP.cnf.xml~", "{{");
    fs::write(outside.path().join("secret"), "<secret/>").unwrap();
    let link = folder.path().join("SIP.cnf");
    std::os::unix::fs::symlink(outside.path().join("secret"), link).unwrap();

    let templates = Templates::load(folder.path());
    assert_eq!(
        templates.of_device(&phone()),
        Some("model/8845/SEP.cnf.xml")
    );
    assert_eq!(templates.names.len(), 2);
    let broken = templates.broken["SIP.cnf"].to_string();
    assert!(broken.contains("a link out of the folder"), "{broken}");
    assert!(Templates::load(&folder.path().join("nowhere")).is_empty());
}

proptest! {
    #[test]
    fn any_value_is_escaped_and_any_path_is_found_or_told(
        value in "\\PC{0,20}",
        path in "[a-zA-Z/]{0,12}|vendorConfig/[a-z]{1,6}|sipProfile",
    ) {
        let mut device = phone();
        device.description = value.clone();
        let source = format!("{{{{ generated | set_element('{path}', device.description) }}}}");
        let templates = templates(&[("SEP.cnf.xml", &source)]);
        let mut renderer = Renderer::default();
        let snapshot = snapshot(vec![device.clone()]);
        if let Ok(file) = templates.device(&mut renderer, &device, &snapshot) {
            let file = std::str::from_utf8(&file).unwrap();
            prop_assert!(roxmltree::Document::parse(file).is_ok(), "{}", file);
        }
    }
}
