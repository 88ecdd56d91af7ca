use std::io::{Read, Seek};
use std::net::IpAddr;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tracing_subscriber::fmt::MakeWriter;

use super::*;
use crate::inventory::DeviceName;

/// What was written.
#[derive(Clone, Default)]
struct Written(Arc<Mutex<Vec<u8>>>);

impl io::Write for Written {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.lock().extend_from_slice(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Written {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

impl Written {
    fn lines(&self) -> Vec<String> {
        let written = std::mem::take(&mut *self.0.lock());
        let text = String::from_utf8(written).unwrap();
        text.lines().map(str::to_owned).collect()
    }
}

fn log_at(level: &str) -> Log {
    let settings = Settings {
        level: level.parse().unwrap(),
        ..Settings::default()
    };
    Log::new(settings, Sink::Stderr(Default::default()))
}

/// Runs it with a log in JSON.
fn logged(level: &str, run: impl FnOnce(&Log, &Written)) {
    let written = Written::default();
    let log = log_at(level);
    let layer = fmt::layer().json().flatten_event(true);
    let layer = layer.with_writer(written.clone()).boxed();
    let subscriber = subscriber(layer, log.rules());
    tracing::subscriber::with_default(subscriber, || run(&log, &written));
}

fn device() -> DeviceName {
    "SEP001122334455".parse().unwrap()
}

#[test]
fn text_is_one_line_for_each_event_at_or_above_the_level() {
    let mut file = tempfile::tempfile().unwrap();
    let writer = Arc::new(file.try_clone().unwrap());
    let log = Log::default();
    let layer = fmt::layer().with_writer(writer).with_ansi(false).boxed();
    tracing::subscriber::with_default(subscriber(layer, log.rules()), || {
        tracing::info!(event = "kernel.attached", interface = "eth0", "kernel path");
        tracing::debug!("hidden");
    });
    file.rewind().unwrap();
    let mut text = String::new();
    file.read_to_string(&mut text).unwrap();
    assert!(
        text.contains(" INFO ")
            && text.contains("kernel path event=\"kernel.attached\" interface=\"eth0\""),
        "{text}"
    );
    assert_eq!(text.lines().count(), 1);
}

#[test]
fn json_has_the_fields_of_the_event_at_the_top() {
    logged("info", |_, written| {
        tracing::info!(event = "kernel.attached", interface = "eth0", "kernel path");
        let event: serde_json::Value = serde_json::from_str(&written.lines()[0]).unwrap();
        assert_eq!(event["level"], "INFO");
        assert_eq!(event["message"], "kernel path");
        assert_eq!(event["event"], "kernel.attached");
        assert_eq!(event["interface"], "eth0");
    });
}

#[test]
fn the_level_changes_while_it_runs_and_goes_back_by_itself() {
    logged("info", |log, written| {
        let begin = Instant::now();
        let say = || tracing::debug!("said");
        say();
        assert!(written.lines().is_empty());
        let debug = Change::Level(Some("debug".parse().unwrap()));
        let lasting = Some(Duration::from_secs(60));
        log.change(debug, lasting, begin).unwrap();
        say();
        // One says that the level has changed.
        assert_eq!(written.lines().len(), 2);
        let now = log.now(begin + Duration::from_secs(20));
        assert_eq!(now.level_ends.seconds, Some(40));
        assert!(now.differs());
        assert_eq!(
            now.to_string(),
            "log level: debug for another 40 s; the configuration says info\n"
        );
        log.tick(begin + Duration::from_secs(59));
        say();
        assert_eq!(written.lines().len(), 1);
        log.tick(begin + Duration::from_secs(60));
        say();
        let [line] = &written.lines()[..] else {
            panic!("one line says that it is over")
        };
        assert!(line.contains("log.level_back"), "{line}");
        assert!(!log.now(begin).differs());
    });
}

#[test]
fn a_level_that_was_changed_for_good_lasts_until_it_is_reset() {
    logged("info", |log, _| {
        let begin = Instant::now();
        let level = |text: &str| Some(text.parse().unwrap());
        log.change(
            Change::Level(level("trace")),
            Some(Duration::from_secs(1)),
            begin,
        )
        .unwrap();
        log.change(Change::Level(level("warn")), None, begin)
            .unwrap();
        log.tick(begin + Duration::from_secs(3_600));
        assert_eq!(log.now(begin).level.to_string(), "warn");
        log.change(Change::Level(None), None, begin).unwrap();
        assert_eq!(log.now(begin).level.to_string(), "info");
    });
}

fn about_everybody() {
    tracing::debug!(device = %device(), "named");
    tracing::trace!(
        file = "SEP001122334455.cnf.xml",
        peer = "10.0.0.5:4711",
        "by its file"
    );
    tracing::debug!(peer = "10.0.0.5:9", "by its address");
    tracing::debug!(peer = "10.0.0.6:9", "another's address");
    tracing::debug!(
        file = "sep001122334466.cnf.xml",
        peer = "10.0.0.5:9",
        "another's file"
    );
    tracing::debug!(device = "SEP001122334466", "another");
    tracing::debug!("about nobody");
}

fn messages(written: &Written) -> Vec<String> {
    let message = |line: String| {
        let event: serde_json::Value = serde_json::from_str(&line).unwrap();
        event["message"].as_str().unwrap().to_owned()
    };
    written.lines().into_iter().map(message).collect()
}

#[test]
fn a_device_is_followed_by_name_file_and_address_and_others_are_not() {
    logged("info", |log, written| {
        about_everybody();
        assert!(written.lines().is_empty());
        let begin = Instant::now();
        let lasting = Some(Duration::from_secs(60));
        log.change(Change::Devices(vec![device()]), lasting, begin)
            .unwrap();
        written.lines();
        about_everybody();
        assert_eq!(
            messages(written),
            ["named", "by its file", "by its address"]
        );
        log.locate(|_| Some(IpAddr::from([10, 0, 0, 6])));
        about_everybody();
        assert!(messages(written).contains(&"another's address".to_owned()));
        assert_eq!(
            log.now(begin).to_string(),
            "log level: info\neverything is logged for another 1 min 0 s of:\n  \
             SEP001122334455 at 10.0.0.5, 10.0.0.6\n"
        );
        log.tick(begin + Duration::from_secs(61));
        written.lines();
        about_everybody();
        assert!(written.lines().is_empty());
    });
}

#[test]
fn a_change_of_the_level_keeps_the_devices_and_what_is_known_of_them() {
    logged("info", |log, _| {
        let begin = Instant::now();
        log.change(Change::Devices(vec![device()]), None, begin)
            .unwrap();
        log.locate(|_| Some(IpAddr::from([10, 0, 0, 6])));
        log.change(Change::Level(Some("warn".parse().unwrap())), None, begin)
            .unwrap();
        assert_eq!(log.now(begin).devices[0].addresses.len(), 1);
        let many = vec![device(); DEVICES_MAX + 1];
        assert!(log.change(Change::Devices(many), None, begin).is_err());
    });
}

/// One callsite.
fn interested() -> bool {
    tracing::enabled!(tracing::Level::DEBUG, device)
}

#[test]
fn a_callsite_below_the_level_is_told_never_unless_a_device_is_followed() {
    logged("info", |log, _| {
        assert!(!interested());
        let begin = Instant::now();
        log.change(Change::Devices(vec![device()]), None, begin)
            .unwrap();
        assert!(interested());
        log.change(Change::Devices(Vec::new()), None, begin)
            .unwrap();
        assert!(!interested());
    });
}

#[test]
fn repeated_warnings_are_told_by_number_and_other_events_are_not_held_back() {
    logged("info", |log, written| {
        for number in 0..500 {
            tracing::warn!(event = "test.often", number, "often");
            tracing::info!(number, "as often");
        }
        tracing::error!(event = "test.seldom", "seldom");
        let lines = written.lines();
        let with = |text: &str| lines.iter().filter(|line| line.contains(text)).count();
        assert_eq!(
            (with("test.often"), with("as often"), with("test.seldom")),
            (10, 500, 1)
        );
        log.tick(Instant::now() + Duration::from_secs(11));
        let [line] = &written.lines()[..] else {
            panic!("one line tells")
        };
        let event: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!(event["event"], "log.suppressed");
        assert_eq!(event["of"], "test.often");
        assert_eq!(event["suppressed"], 490);
    });
}

#[test]
fn settings_that_cannot_be_are_refused_by_key() {
    let wrong = |change: fn(&mut Settings)| {
        let mut settings = Settings::default();
        change(&mut settings);
        settings.validate().unwrap_err().0
    };
    assert!(Settings::default().validate().is_ok());
    assert_eq!(wrong(|it| it.max_bytes = 10), "max_bytes");
    assert_eq!(wrong(|it| it.keep = 2_000), "keep");
    let to_file = |it: &mut Settings| {
        it.file = "edge.log".into();
        it.format = Format::Journald;
    };
    assert_eq!(wrong(to_file), "format");
}

#[test]
fn a_file_gets_json_unless_text_is_asked_for() {
    let mut settings = Settings {
        file: "edge.log".into(),
        ..Settings::default()
    };
    assert_eq!(settings.style(), Style::Json);
    settings.format = Format::Text;
    assert_eq!(settings.style(), Style::Text { colour: false });
}

#[test]
fn level_format_file_and_its_bounds_change_with_a_reload() {
    let folder = tempfile::tempdir().unwrap();
    let read = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap_or_default();
    let before = Settings {
        format: Format::Json,
        file: folder.path().join("before.log"),
        ..Settings::default()
    };
    let log = Log::new(before.clone(), before.sink().unwrap());
    let subscriber = subscriber(log.layer(), log.rules());
    log.layer().set(before.layer(&log).unwrap());
    let after = Settings {
        level: "debug".parse().unwrap(),
        format: Format::Text,
        file: folder.path().join("after.log"),
        max_bytes: 2_000,
        keep: 2,
    };
    tracing::subscriber::with_default(subscriber, || {
        tracing::info!("one");
        tracing::debug!("hidden");
        log.prepare(&after).unwrap()();
        tracing::debug!("two");
        assert!(read("before.log").starts_with('{') && !read("before.log").contains("hidden"));
        let text = read("after.log");
        assert!(text.contains("DEBUG") && text.contains(" two") && !text.starts_with('{'));
        for number in 0..200 {
            tracing::debug!(number, "a line of the log, and many like it");
        }
    });
    assert!(!read("before.log").contains("two"));
    let mut files: Vec<_> = std::fs::read_dir(folder.path()).unwrap().collect();
    files.sort_by_key(|it| it.as_ref().unwrap().path());
    let name = |it: &std::io::Result<std::fs::DirEntry>| it.as_ref().unwrap().file_name();
    let names: Vec<_> = files.iter().map(name).collect();
    assert_eq!(
        names,
        ["after.log", "after.log.1", "after.log.2", "before.log"]
    );
    let len = |it: &str| read(it).len();
    assert!(len("after.log") <= 2_000 && len("after.log.1") <= 2_000);
}
