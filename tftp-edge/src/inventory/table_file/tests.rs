use proptest::prelude::*;

use super::super::{Change, Contents, Device, Edit, Line, LineOptions};
use super::*;

const HEADER: &str = "name,model,protocol,lines,auth_name,secret,site,load,description\n";

fn read_devices(rows: &str) -> Result<Vec<Device>, RowErrors> {
    parse_csv(format!("{HEADER}{rows}").as_bytes())
}

fn errors(file: &[u8]) -> Vec<String> {
    let RowErrors { errors, .. } = parse_csv(file).unwrap_err();
    errors.iter().map(ToString::to_string).collect()
}

#[test]
fn columns_come_in_any_order_and_any_case_of_name() {
    let file = "\u{feff}Model,LINES,name,protocol\nCP-7941,1001,sep00aabbccddee,SCCP\n";
    let devices = parse_csv(file.as_bytes()).unwrap();
    assert_eq!(devices[0].name.to_string(), "SEP00AABBCCDDEE");
    assert_eq!(devices[0].model, "7941");
    assert_eq!(devices[0].site, "default");
    assert_eq!(devices[0].load, None);
}

#[test]
fn a_line_has_a_label_a_user_and_a_secret_if_wanted() {
    let devices = read_devices(
        "SEP001122334455,8851,sip,1001:Alice O'Brien; 1002 ;1003:'Sales; ''24h''',alice,'a;b';;c,hq,sip88xx.12-5-1.loads,Desk\n",
    )
    .unwrap();
    let line = |number: &str, label: &str, secret: &str| Line {
        number: number.into(),
        label: label.into(),
        auth_name: "alice".into(),
        secret: secret.into(),
        ..Line::default()
    };
    assert_eq!(
        devices[0].lines,
        [
            line("1001", "Alice O'Brien", "a;b"),
            line("1002", "", ""),
            line("1003", "Sales; '24h'", "c"),
        ]
    );
    assert_eq!(devices[0].load.as_deref(), Some("sip88xx.12-5-1"));
}

#[test]
fn every_mistake_is_told_with_its_line_and_column() {
    let file = format!(
        "{HEADER}\
         SEP00112233445,7941,sip,1,,,,,\n\
         SEP001122334455,7999,sip,1,,,,,\n\
         SEP001122334456,7941,iax,1,,,,,\n\
         SEP001122334457,7940,sip,1,,,,,\n\
         SEP001122334458,7941,sccp,,,,,,\n\
         SEP001122334459,7941,sccp,1;2;3,,,,,\n\
         SEP00112233445A,7941,sip,1;1,,,,,\n\
         SEP00112233445B,7961,sip,1;2;3,a;b,,,,\n\
         SEP00112233445C,7941,sip,1:'a,,,,,\n\
         SEP00112233445D,7941,sip,1:'a'b,,,,,\n\
         SEP00112233445E,7941,sip,1,,,,../x,\n\
         SEP00112233445F,7941,sip,1,,,,,a\u{7}b\n\
         SEP001122334460,7941,sip\n\
         SEP001122334461,7941,sip,1,,,,,\n\
         sep001122334461,7941,sip,1,,,,,\n"
    );
    let told = errors(file.as_bytes());
    let expected = [
        "line 2, column name: \"SEP00112233445\" is no device name; expected SEP",
        "line 3, column model: \"7999\" is no known model",
        "line 4, column protocol: \"iax\"; expected sip or sccp",
        "line 5, column name: SEP001122334457 cannot be a 7940; expected SIP and its MAC address",
        "line 6, column lines: it is empty; expected at least one",
        "line 7, column lines: 3 lines; a 7941 has 2",
        "line 8, column lines: 1 is there twice",
        "line 9, column auth_name: 2 entries; expected one, or one for each of the 3 lines",
        "line 10, column lines: a quote is not closed",
        "line 11, column lines: an entry goes on after its closing quote",
        "line 12, column load: \"../x\" is no firmware load",
        "line 13, column description: it has the control character U+0007",
        "line 14: 3 fields; expected 9",
        "line 16, column name: SEP001122334461 is on line 15 already",
    ];
    assert_eq!(told.len(), expected.len(), "{told:#?}");
    for (told, expected) in told.iter().zip(expected) {
        assert!(told.starts_with(expected), "{told}");
    }
}

#[test]
fn a_row_with_several_mistakes_tells_them_all() {
    let told = errors(format!("{HEADER}x y,y,z,1 2,,,,,\n").as_bytes());
    assert_eq!(told.len(), 4, "{told:#?}");
}

#[test]
fn unknown_missing_and_doubled_columns_are_refused_by_name() {
    let told = errors(b"name,name,model,colour\n");
    let begins = [
        "line 1, column name: the column is there twice",
        "line 1, column colour: unknown column of devices; expected name, model, protocol, lines",
    ];
    assert_eq!(told.len(), begins.len());
    for (told, begin) in told.iter().zip(begins) {
        assert!(told.starts_with(begin), "{told}");
    }
    assert_eq!(
        errors(b"name,modle\n"),
        ["line 1, column modle: unknown column of devices; did you mean model?"]
    );
    assert_eq!(
        errors(b"model\n"),
        ["line 1, column name: the column is missing"]
    );
    assert_eq!(errors(b"").len(), 1);
}

#[test]
fn bytes_that_are_not_utf_8_are_refused() {
    let file = [
        HEADER.as_bytes(),
        b"SEP001122334455,7941,sip,1,,,,,caf\xe9\n",
    ]
    .concat();
    assert_eq!(
        errors(&file),
        ["line 2, column description: it is not UTF-8; save the file as UTF-8"]
    );
}

#[test]
fn no_more_than_fifty_mistakes_are_told() {
    let rows = "SEPx,7941,sip,1,,,,,\n".repeat(70);
    let RowErrors { errors, more } = read_devices(&rows).unwrap_err();
    assert_eq!((errors.len(), more), (50, 20));
}

/// A file for each table, as `export` would write it.
const FILES: [(Table, &str); 11] = [
    (
        Table::Models,
        "name,kind,type_id,protocols,lines,max_calls\n\
         8845,phone,36224,sip,10,200\n\
         X1,module,,sip;sccp,36,0\n",
    ),
    (
        Table::Loads,
        "model,protocol,load\n7941,sip,SIP41.9-4-2SR3-1S\nX1,sip,B1.2\n",
    ),
    (
        Table::ServerGroups,
        "name,servers\nmain,cm1;10.0.0.2/sccp=2001/sip=5070/sips=5071\n",
    ),
    (
        Table::SoftKeys,
        "name,states\nagents,\"Connected:Hold,EndCall;On Hook:NewCall,Redial\"\n",
    ),
    (
        Table::DialPlans,
        "name,rules\n\
         default,\"9,.......|timeout=5;0,*|timeout=10|line=2|rewrite=%1|tone=Cisco-Zip\"\n",
    ),
    (
        Table::AppDialRules,
        "order,begins_with,digits,remove,prefix\n2,+49,11,3,0\n10,,7,0,9\n",
    ),
    (
        Table::FeaturePolicies,
        "name,features\nquiet,park=on;pickup=off\n",
    ),
    (
        Table::Services,
        "name,url,kind,category,vendor,version\nNews,http://10.0.0.1/a?b=1&c=2,0,0,,\n",
    ),
    (
        Table::Profiles,
        "name,server_group,dial_template,soft_keys,feature_policy,services,vendor.webAccess\n\
         agents,main,default,agents,quiet,News,0\n\
         plain,,softkeys.xml,'',,,\n",
    ),
    (
        Table::Sites,
        "name,subnets,auto_registration_profile,servers,ntp,ssh_password\n\
         hq,10.1.0.0/16;fd00:1::/64,plain,,10.0.0.1,hush\n\
         west,,,cm1,'',\n",
    ),
    (
        Table::Devices,
        "name,model,protocol,lines,auth_name,secret,site,profile,load,description,owner,keys,\
         modules,settings\n\
         CSFALICE,CSF,sip,1001,,,default,,,,,,,\n\
         SEP000000000001,7962,sip,1001:Alice O'Brien|display='A|b'|max_calls=4|busy_trigger=2|\
         ring_idle=2|ring_active=1|mwi_lamp=6|auto_answer;1002:'a;b',alice;,s1;'s;2',hq,agents,\
         SIP42.9,\"He said \"\"hi\"\", twice\",alice,3=speed_dial:2001:Bob;4=blf:2002;\
         5=service:News:Read;6=feature:dnd;30=speed_dial:2003,7916-24,\
         vendor.webAccess=1;voicemail=\n",
    ),
];

/// What [`FILES`] make of an inventory.
fn imported(files: &[(Table, &str)], contents: &Contents) -> Result<Vec<Change>, RowErrors> {
    let mut edit = Edit::default();
    for (table, file) in files {
        let about = About {
            stem: Some(table.to_string()),
            shown: Some(format!("{table}.csv").into()),
            table: None,
        };
        let read = read(file.as_bytes(), &about, &mut edit.errors).unwrap();
        edit.rows
            .extend(read.into_iter().flat_map(|(_, rows)| rows));
    }
    Ok(edit.plan(contents.clone())?.changes)
}

fn filled() -> Contents {
    let mut contents = Contents::default();
    for change in imported(&FILES, &contents).unwrap() {
        match change {
            Change::Added(Record::Device(device)) => contents.devices.push(*device),
            Change::Added(record) => contents.put_shared(record),
            other => panic!("{other:?}"),
        }
    }
    contents
}

fn records(table: Table, contents: &Contents) -> Vec<Record> {
    let devices = contents.devices.iter().cloned();
    let mut devices: Vec<_> = devices
        .map(|device| Record::Device(device.into()))
        .collect();
    match table {
        Table::Devices => {
            devices.sort_by_key(Record::key);
            devices
        }
        table => contents.shared(table),
    }
}

#[test]
fn what_is_imported_is_exported_byte_for_byte() {
    let contents = filled();
    for (table, file) in FILES {
        let mut exported = Vec::new();
        write(table, &records(table, &contents), &mut exported).unwrap();
        assert_eq!(String::from_utf8(exported).unwrap(), file, "{table}");
    }
}

#[test]
fn what_is_exported_changes_nothing_when_it_is_imported() {
    assert_eq!(imported(&FILES, &filled()).unwrap(), []);
}

#[test]
fn files_refer_to_each_other_in_any_order_and_to_nothing_that_is_not_there() {
    let mut backwards = FILES;
    backwards.reverse();
    assert!(imported(&backwards, &Contents::default()).is_ok());

    let devices_alone = &FILES[10..];
    let told = imported(devices_alone, &Contents::default())
        .unwrap_err()
        .to_string();
    for part in [
        "devices.csv, line 3, column site: there is no site \"hq\"; `tftp-edge inventory set sites hq",
        "devices.csv, line 3, column profile: there is no profile \"agents\"",
        "devices.csv, line 3, column keys: there is no phone service \"News\"",
    ] {
        assert!(told.contains(part), "{told}");
    }
    let told = imported(&FILES[8..9], &Contents::default())
        .unwrap_err()
        .to_string();
    for part in [
        "line 2, column server_group: there is no server group \"main\"",
        "line 2, column dial_template: there is no dial plan \"default\"",
        "line 2, column soft_keys: there is no soft key set \"agents\"",
        "line 2, column feature_policy: there is no feature policy \"quiet\"",
        "line 2, column services: there is no phone service \"News\"",
    ] {
        assert!(told.contains(part), "{told}");
    }
    assert!(!told.contains("softkeys.xml"), "a file on disk: {told}");
}

#[test]
fn a_column_that_is_not_in_the_file_stays_and_an_empty_field_clears() {
    let contents = filled();
    let file = "name,lines,description\nSEP000000000001,1002;1003,\n";
    let changes = imported(&[(Table::Devices, file)], &contents).unwrap();
    let [Change::Changed { after, .. }] = changes.as_slice() else {
        panic!("{changes:?}");
    };
    let get = |column| after.get(column, Secrets::Told);
    assert_eq!(get("lines"), "1002;1003");
    assert_eq!(
        get("secret"),
        "'s;2';",
        "a line keeps its secret by its number"
    );
    assert_eq!(get("description"), "");
    assert_eq!((&*get("site"), &*get("modules")), ("hq", "7916-24"));
}

#[test]
fn the_protocol_is_that_of_the_model_if_it_speaks_only_one() {
    let file = "name,model,lines\nSEP001122334455,8851,1\nSEP001122334456,7910,2\n";
    let devices = parse_csv(file.as_bytes()).unwrap();
    let protocols: Vec<_> = devices
        .iter()
        .map(|device| device.protocol.as_str())
        .collect();
    assert_eq!(protocols, ["sip", "sccp"]);
    assert_eq!(
        errors(b"name,model,lines\nSEP001122334455,7941,1\n"),
        ["line 2, column protocol: it is missing, and a 7941 can be either; expected sip or sccp"]
    );
}

#[test]
fn the_table_is_told_by_the_columns_or_by_the_name_of_the_file() {
    let of = |stem: &str, header: &str| {
        let about = About {
            stem: Some(stem.into()),
            ..About::default()
        };
        let mut errors = RowErrors::default();
        let read = read(header.as_bytes(), &about, &mut errors).unwrap();
        read.map(|(table, _)| table).ok_or(errors.to_string())
    };
    assert_eq!(of("x", "name,model,lines\n"), Ok(Table::Devices));
    assert_eq!(of("x", "name,subnets,ntp\n"), Ok(Table::Sites));
    assert_eq!(of("x", "order,digits\n"), Ok(Table::AppDialRules));
    assert_eq!(of("phones", "name,voicemail\n"), Ok(Table::Devices));
    assert_eq!(of("profiles", "name,voicemail\n"), Ok(Table::Profiles));
    let told = of("x", "name,voicemail\n").unwrap_err();
    assert!(
        told.contains("those of profiles and of sites and of devices; name the file after"),
        "{told}"
    );
}

/// Files that cannot be taken, and what is told of each: `NAME.csv` and `NAME.txt`.
#[test]
fn bad_files_are_refused_with_what_is_wrong_and_where() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/bad_csv");
    let mut files: Vec<_> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "csv"))
        .collect();
    files.sort();
    assert!(files.len() >= 20, "the corpus is there");
    let mut wrong = Vec::new();
    for path in files {
        let about = About {
            stem: Some(path.file_stem().unwrap().to_string_lossy().into()),
            ..About::default()
        };
        let mut edit = Edit::default();
        let read = read(&std::fs::read(&path).unwrap()[..], &about, &mut edit.errors).unwrap();
        edit.rows
            .extend(read.into_iter().flat_map(|(_, rows)| rows));
        let told = match edit.plan(filled()) {
            Ok(plan) => format!("{} changes", plan.changes.len()),
            Err(errors) => errors.to_string(),
        };
        let golden = path.with_extension("txt");
        if std::env::var_os("BLESS").is_some() {
            std::fs::write(&golden, format!("{told}\n")).unwrap();
        }
        let expected = std::fs::read_to_string(&golden).unwrap_or_default();
        if told != expected.trim_end() {
            wrong.push(format!("{}:\n{told}", path.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(
        (table, at, bytes) in (0..FILES.len(), any::<prop::sample::Index>(), any::<[u8; 3]>()),
        cut in any::<bool>(),
    ) {
        let mut file = FILES[table].1.as_bytes().to_vec();
        let at = at.index(file.len());
        match cut {
            true => file.truncate(at),
            false => drop(file.splice(at..at, bytes)),
        }
        let about = About {
            table: Some(FILES[table].0),
            ..About::default()
        };
        let mut edit = Edit::default();
        let read = read(&file[..], &about, &mut edit.errors).unwrap();
        edit.rows.extend(read.into_iter().flat_map(|(_, rows)| rows));
        // Whatever it holds now: taken or refused.
        if let Err(errors) = edit.plan(filled()) {
            prop_assert!(!errors.errors.is_empty());
        }
    }

    #[test]
    fn lines_of_any_label_options_and_secret_round_trip(
        lines in prop::collection::vec(
            ("[a'; :|=]{0,8}", "[a'; :|=]{0,8}", "[a'; :|=]{0,8}", prop::option::of(0_u8..5)),
            1..6,
        )
    ) {
        let lines: Vec<_> = (1000..).zip(lines).map(|(number, (label, display, secret, ring))| Line {
            number: u32::to_string(&number),
            label: label.trim().into(),
            display_name: display.trim().into(),
            secret,
            options: LineOptions { ring_idle: ring, ..LineOptions::default() },
            ..Line::default()
        }).collect();
        let mut device = filled().devices.remove(0);
        device.model = "8851".into();
        device.lines = lines;
        device.keys.clear();
        device.modules.clear();
        let record = Record::Device(device.clone().into());
        let mut read = record.clone();
        for column in ["lines", "auth_name", "secret"] {
            read.set(column, &record.get(column, Secrets::Told)).unwrap();
        }
        prop_assert_eq!(&read, &record);
    }
}
