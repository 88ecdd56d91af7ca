use std::fs;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;

use super::*;

/// A configuration in a folder of its own, and a daemon's worth of settings that follow it.
struct Edge {
    folder: tempfile::TempDir,
    reloader: Arc<Reloader>,
    live: LiveConfig,
    alarms: Arc<Alarms>,
}

impl Edge {
    fn new(text: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("conf.d")).unwrap();
        let file = folder.path().join("edge.toml");
        fs::write(&file, text).unwrap();
        let config = Config::load(&file).unwrap();
        let (live, alarms) = (LiveConfig::from(&config), Arc::<Alarms>::default());
        let reloader = Reloader::new(&config, live.clone(), Arc::clone(&alarms));
        Self {
            folder,
            reloader: Arc::new(reloader),
            live,
            alarms,
        }
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn done(&self) -> Outcome {
        match self.reloader.reload() {
            Reloaded::Done(outcome) => outcome,
            other => panic!("{other:?}"),
        }
    }

    fn refused(&self) -> String {
        let fault = match self.reloader.reload() {
            Reloaded::Refused(fault) => fault,
            other => panic!("{other:?}"),
        };
        let folder = self.folder.path().display().to_string();
        fault.replace(&folder, "DIR")
    }
}

fn keys(changed: &[Changed]) -> Vec<&str> {
    changed.iter().map(|it| it.key.as_str()).collect()
}

#[test]
fn what_can_change_changes_and_what_needs_a_restart_waits_until_it_agrees_again() {
    let edge = Edge::new("tftp = { workers = 1, windowsize = 8 }\n");
    edge.write("conf.d/10.toml", "tftp = { workers = 2, windowsize = 9 }\n");
    let outcome = edge.done();
    assert_eq!(keys(&outcome.changed), ["tftp.windowsize"]);
    assert_eq!(keys(&outcome.waiting), ["tftp.workers"]);
    assert_eq!(
        outcome.files,
        [edge.path("edge.toml"), edge.path("conf.d/10.toml")]
    );
    let tftp = edge.live.tftp.take();
    assert_eq!((tftp.workers, tftp.windowsize), (1, 9));

    // It is told until it is so, also when nothing is new.
    let outcome = edge.done();
    assert_eq!(keys(&outcome.changed), [] as [&str; 0]);
    assert_eq!(keys(&outcome.waiting), ["tftp.workers"]);
    let status = edge.reloader.snapshot().to_string();
    assert_eq!(status, "1 setting waits for a restart: tftp.workers\n");

    edge.write("conf.d/10.toml", "tftp.windowsize = 9\n");
    let outcome = edge.done();
    assert!(outcome.changed.is_empty() && outcome.waiting.is_empty());
    assert_eq!(edge.reloader.snapshot().to_string(), "");
    assert_eq!(edge.reloader.snapshot().successes, 3);
}

#[test]
fn whatever_is_wrong_leaves_everything_as_it_was_and_is_told_until_it_is_mended() {
    let edge = Edge::new("log.level = \"info\"\n");
    let before = format!("{:?}", edge.live);
    for (text, fault) in [
        (
            "[log\n",
            "DIR/conf.d/x.toml:1:5: log: unclosed table, expected `]`",
        ),
        (
            "tftp.widnowsize = 3\n",
            "DIR/conf.d/x.toml:1:6: tftp.widnowsize: there is no such key; did you mean `windowsize`?",
        ),
        (
            "tftp.windowsize = 0\n",
            "DIR/conf.d/x.toml:1:6: tftp.windowsize: must be",
        ),
        // Of keys that take effect later, too.
        (
            "tftp.dscp = 64\n",
            "DIR/conf.d/x.toml:1:6: tftp.dscp: 64 is not a DSCP",
        ),
    ] {
        edge.write("conf.d/x.toml", text);
        let told = edge.refused();
        assert!(told.starts_with(fault), "{told}");
        assert_eq!(format!("{:?}", edge.live), before);
    }
    let alarm = edge.alarms.list().pop().unwrap();
    assert_eq!(alarm.kind, AlarmKind::Configuration);
    assert!(
        alarm.problem.contains("64 is not a DSCP"),
        "{}",
        alarm.problem
    );
    assert!(edge.reloader.snapshot().refused.is_some());

    fs::remove_file(edge.path("conf.d/x.toml")).unwrap();
    edge.done();
    assert!(edge.alarms.list().is_empty());
    let seen = edge.reloader.snapshot();
    assert_eq!((seen.successes, seen.failures, seen.refused), (1, 4, None));
}

#[test]
fn a_part_that_cannot_is_asked_before_any_part_changes() {
    let edge = Edge::new("");
    let taken = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&taken);
    edge.reloader.on(move |_| {
        let counted = Arc::clone(&counted);
        Ok(Box::new(move || {
            counted.fetch_add(1, Ordering::Relaxed);
            vec!["done".to_owned()]
        }))
    });
    edge.reloader
        .on(|config| match config.web.names.is_empty() {
            true => Ok(Box::new(Vec::new)),
            false => Err(Refused::new("web.names", &"web.names: not today")),
        });
    assert_eq!(edge.done().remarks, ["done"]);
    edge.write("edge.toml", "\n[web]\nnames = [\"edge\"]\n");
    assert_eq!(edge.refused(), "DIR/edge.toml:3:1: web.names: not today");
    assert_eq!(taken.load(Ordering::Relaxed), 1);
    assert!(edge.live.web.get().names.is_empty());
}

#[test]
fn a_value_that_does_not_go_with_one_that_waits_is_refused() {
    let edge = Edge::new("upstream = { max_file = \"1MiB\", memory_limit = \"2MiB\" }\n");
    edge.write(
        "edge.toml",
        "upstream = { max_file = \"3MiB\", memory_limit = \"4MiB\" }\n",
    );
    let told = edge.refused();
    assert!(
        told.starts_with("DIR/edge.toml:1:14: upstream.max_file: 3MiB is more than"),
        "{told}"
    );
    assert!(told.ends_with("restart the daemon instead"), "{told}");
}

#[test]
fn reloads_wait_for_each_other_and_one_after_the_end_is_told_so() {
    let edge = Edge::new("");
    let (inside, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (entered, seen) = (Arc::clone(&inside), Arc::clone(&most));
    edge.reloader.on(move |_| {
        let now = entered.fetch_add(1, Ordering::SeqCst) + 1;
        seen.fetch_max(now, Ordering::SeqCst);
        thread::yield_now();
        entered.fetch_sub(1, Ordering::SeqCst);
        Ok(Box::new(Vec::new))
    });
    let (told, phases) = mpsc::channel();
    edge.reloader.watch(move |phase| told.send(phase).unwrap());
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| edge.done());
        }
    });
    assert_eq!(most.load(Ordering::SeqCst), 1);
    assert_eq!(edge.reloader.snapshot().successes, 8);
    let phases: Vec<_> = phases.try_iter().collect();
    assert_eq!(phases, [Phase::Begun, Phase::Ended].repeat(8));
    edge.reloader.close();
    assert_eq!(edge.reloader.reload(), Reloaded::Stopping);
}

#[test]
fn a_storm_of_signals_is_one_reload_and_one_more() {
    let edge = Edge::new("");
    let (entered, entering) = mpsc::sync_channel(0);
    let (may_leave, leaving) = mpsc::channel::<()>();
    let leaving = Mutex::new(leaving);
    edge.reloader.on(move |_| {
        entered.send(()).unwrap();
        leaving.lock().recv().unwrap();
        Ok(Box::new(Vec::new))
    });
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .build()
        .unwrap();
    let reloads = Reloads::start(Arc::clone(&edge.reloader), &runtime);
    reloads.ask();
    entering.recv().unwrap();
    (0..1_000).for_each(|_| reloads.ask());
    may_leave.send(()).unwrap();
    entering.recv().unwrap();
    may_leave.send(()).unwrap();
    // The second has ended when it lets somebody else in.
    drop(edge.reloader.state.lock());
    drop(reloads);
    drop(runtime);
    assert_eq!(edge.reloader.snapshot().successes, 2);
}

#[test]
fn a_problem_is_told_without_its_key_twice() {
    let refused = Refused::new("http.tls.key", &"http.tls.key /x: cannot read it");
    assert_eq!(refused.problem, "/x: cannot read it");
    assert_eq!(refused.key, "http.tls.key");
}
