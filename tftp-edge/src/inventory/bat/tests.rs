use super::super::{Change, Contents, Record, Secrets, table_file};
use super::*;

/// What a file makes of an inventory that has the site `hq`; columns as `devices.csv` has them.
fn import(file: &str, defaults: BatDefaults) -> (Result<Vec<[String; 5]>, String>, String) {
    let mut contents = Contents::default();
    contents.sites.insert("hq".into(), BTreeMap::new());
    let mut left_out = LeftOut::default();
    let edit = read(
        file.as_bytes(),
        &defaults,
        &Models::default(),
        &mut left_out,
    )
    .unwrap();
    let devices = edit.plan(contents).map_err(|errors| errors.to_string());
    let columns = ["name", "model", "lines", "keys", "site"];
    let devices = devices.map(|plan| {
        let added = plan.changes.into_iter().map(|change| match change {
            Change::Added(record) => columns.map(|column| record.get(column, Secrets::Told)),
            other => panic!("{other:?}"),
        });
        added.collect()
    });
    (devices, left_out.to_string())
}

fn model(model: &str, protocol: Protocol) -> BatDefaults {
    BatDefaults {
        model: Some(model.into()),
        protocol: Some(protocol),
        ..BatDefaults::default()
    }
}

#[test]
fn a_file_written_for_a_template_is_taken_with_the_model_of_the_template() {
    let file = "MAC ADDRESS,DESCRIPTION,LOCATION,DIRECTORY NUMBER  1,DISPLAY  1,LINE TEXT LABEL  1,\
                DIRECTORY NUMBER  2,SPEED DIAL NUMBER 1,SPEED DIAL LABEL 1\n\
                1231123245ab,Desk,Dallas,1001,Alice Smith,Alice,,1230,Helpdesk\n\
                1231123245AC,,,1002,1002,1002,\\+4930,,\n";
    let (devices, left_out) = import(file, model("7962", Protocol::Sip));
    let row = |row: [&str; 5]| row.map(String::from);
    assert_eq!(
        devices.unwrap(),
        [
            row([
                "SEP1231123245AB",
                "7962",
                "1001:Alice|display=Alice Smith",
                "2=speed_dial:1230:Helpdesk",
                "default"
            ]),
            row(["SEP1231123245AC", "7962", "1002:1002;+4930", "", "default"]),
        ]
    );
    assert_eq!(left_out, "left out: LOCATION (1 rows)\n");
}

#[test]
fn an_exported_file_tells_its_models_and_more() {
    let file = "Device Name,Description,Device Pool,CSS,Device Type,Device Protocol,Owner User ID,\
                Module 1,Directory Number 1,Maximum Number of Calls 1,Busy Trigger 1,Auto Answer 1,\
                Busy Lamp Field Directory Number 1,Busy Lamp Field Label 1\n\
                SEP1231123245AB,Desk,hq,css,Cisco 7962,SIP,alice,\
                7916 24-Button Line Expansion Module,1001,4,2,Auto Answer Off,2002,Carol\n\
                CSFALICE,,hq,css,CSF,SIP,alice,,1001,4,2,Auto Answer with Headset,,\n";
    let defaults = BatDefaults {
        pool_is_site: true,
        ..BatDefaults::default()
    };
    let (devices, left_out) = import(file, defaults);
    let row = |row: [&str; 5]| row.map(String::from);
    assert_eq!(
        devices.unwrap(),
        [
            row([
                "SEP1231123245AB",
                "7962",
                "1001|max_calls=4|busy_trigger=2",
                "2=blf:2002:Carol",
                "hq"
            ]),
            row([
                "CSFALICE",
                "CSF",
                "1001|max_calls=4|busy_trigger=2|auto_answer",
                "",
                "hq"
            ]),
        ]
    );
    assert_eq!(left_out, "left out: CSS (2 rows)\n");
}

#[test]
fn addresses_become_names_as_the_model_has_them() {
    let file = "MAC ADDRESS,DIRECTORY NUMBER 1\n1231123245AB,1001\n";
    for (of, protocol, name) in [
        ("7960", Protocol::Sip, "SIP1231123245AB"),
        ("7960", Protocol::Sccp, "SEP1231123245AB"),
        ("ATA187", Protocol::Sip, "ATA1231123245AB"),
    ] {
        let (devices, _) = import(file, model(of, protocol));
        assert_eq!(devices.unwrap()[0][0], name);
    }
}

#[test]
fn speed_dials_without_a_button_are_told() {
    let file = "MAC ADDRESS,DIRECTORY NUMBER 1,SPEED DIAL NUMBER 1,SPEED DIAL NUMBER 2\n\
                1231123245AB,1001,2001,2002\n";
    let (devices, left_out) = import(file, model("7942", Protocol::Sccp));
    assert_eq!(devices.unwrap()[0][3], "2=speed_dial:2001");
    assert_eq!(
        left_out,
        "left out: 1 speed dials that have no button on their phones\n"
    );
}

#[test]
fn more_modules_than_any_phone_takes_are_no_matter() {
    let modules = 3000;
    let header: String = (1..=modules).map(|at| format!(",MODULE {at}")).collect();
    let row = ",7916-24".repeat(modules);
    let file = format!("MAC ADDRESS,DIRECTORY NUMBER 1{header}\n1231123245AB,1001{row}\n");
    let (devices, _) = import(&file, model("7962", Protocol::Sip));
    assert_eq!(devices.unwrap().len(), 1);
}

#[test]
fn what_is_wrong_is_told_by_line() {
    let (told, _) = import("DESCRIPTION\nx\n", BatDefaults::default());
    let told = told.unwrap_err();
    assert!(
        told.contains("line 1, column MAC ADDRESS: the column is missing"),
        "{told}"
    );

    let file = "MAC ADDRESS,DIRECTORY NUMBER 1,BUSY TRIGGER 1\n\
                1231123245AB,1001,\n\
                1231123245AC,1001,many\n\
                1231123245A,1001,\n";
    let (told, _) = import(file, BatDefaults::default());
    let told = told.unwrap_err();
    assert!(
        told.contains("line 2: the file says of no model; expected --model"),
        "{told}"
    );
    let (told, _) = import(file, model("7942", Protocol::Sccp));
    let told = told.unwrap_err();
    for part in [
        "line 3, column BUSY TRIGGER: \"many\" is no number",
        "line 4, column name: 1231123245A cannot be a 7942; expected SEP and its MAC address",
    ] {
        assert!(told.contains(part), "{told}");
    }
}

#[test]
fn a_phone_that_is_there_keeps_what_the_file_does_not_say() {
    let devices = "name,model,protocol,lines,secret,site\nSEP1231123245AB,7962,sip,1001,hush,hq\n";
    let mut contents = Contents {
        devices: table_file::parse_csv(devices.as_bytes()).unwrap(),
        ..Contents::default()
    };
    contents.sites.insert("hq".into(), BTreeMap::new());
    let file = "MAC ADDRESS,DIRECTORY NUMBER 1\n1231123245AB,1001\n1231123245AC,1002\n";
    let defaults = model("7962", Protocol::Sip);
    let edit = read(
        file.as_bytes(),
        &defaults,
        &Models::default(),
        &mut LeftOut::default(),
    );
    let plan = edit.unwrap().plan(contents).unwrap();
    assert_eq!(plan.unchanged, 1);
    assert!(matches!(
        plan.changes.as_slice(),
        [Change::Added(Record::Device(_))]
    ));
}
