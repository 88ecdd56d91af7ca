//! Live progress of a fleet: the files of its boot, and the drain of its registrations.

use std::io::IsTerminal as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use tftp_ebpf::stage::Stage;

use crate::phones::{Over, PhoneSpec, Progress};

/// How often a line is written where there are no bars.
const LINE_EVERY: Duration = Duration::from_secs(2);

/// How often the daemon is asked what it sees.
const ASK_EVERY: Duration = Duration::from_millis(500);

/// What is watched.
pub struct Watched<'w> {
    pub title: &'w str,
    pub phones: &'w [PhoneSpec],
    pub progress: &'w Progress,
    /// How the daemon calls the state of the storm, of fleets that register.
    pub storm: Option<&'w (dyn Fn() -> Option<String> + Sync)>,
}

/// Shows bars on standard error while `work` runs; lines, if it is no terminal.
pub fn watch<T>(watched: &Watched<'_>, work: impl FnOnce() -> T) -> T {
    let bars = Bars::new(watched);
    let progress = watched.progress;
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            let started = Instant::now();
            let mut storm = String::new();
            let mut asked = Duration::ZERO;
            let mut next_line = Duration::ZERO;
            let has_bars = std::io::stderr().is_terminal();
            while !done.load(Ordering::Relaxed) {
                let elapsed = started.elapsed();
                if let Some(ask) = watched.storm.filter(|_| elapsed >= asked) {
                    asked = elapsed + ASK_EVERY;
                    storm = ask().unwrap_or_default();
                }
                bars.show(progress, elapsed, &storm);
                if !has_bars && elapsed >= next_line {
                    next_line = elapsed + LINE_EVERY;
                    eprintln!("{:>5.1} s  {}", elapsed.as_secs_f64(), bars.line());
                }
                thread::sleep(Duration::from_millis(100));
            }
            bars.show(progress, started.elapsed(), &storm);
            bars.clear();
        });
        // Also when the work panics: the scope waits for the bars.
        let _end = OnDrop(|| done.store(true, Ordering::Relaxed));
        work()
    })
}

struct OnDrop<F: FnMut()>(F);

impl<F: FnMut()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        self.0();
    }
}

struct Bars {
    all: MultiProgress,
    phones: ProgressBar,
    stages: Vec<(Stage, ProgressBar)>,
    /// All phones, SCCP, SIP; none of fleets that do not register.
    registered: Option<[ProgressBar; 3]>,
}

impl Bars {
    fn new(watched: &Watched<'_>) -> Self {
        let phones = watched.phones;
        let style = ProgressStyle::with_template("{prefix:>12} [{bar:40}] {pos:>7}/{len:7} {msg}")
            .expect("the template is a valid one")
            .progress_chars("=> ");
        let all = MultiProgress::new();
        let bar = |prefix: &str, len: u64| {
            let bar = all.add(ProgressBar::new(len).with_style(style.clone()));
            bar.set_prefix(prefix.to_owned());
            bar
        };
        let top = bar(watched.title, phones.len() as u64);
        let mut expected = [0_u64; Stage::COUNT];
        for name in phones.iter().flat_map(|phone| &phone.files) {
            expected[Stage::of_name(name.to_ascii_lowercase().as_bytes()) as usize] += 1;
        }
        let stages = Stage::ALL
            .into_iter()
            .filter(|&stage| expected[stage as usize] > 0)
            .map(|stage| (stage, bar(stage.as_str(), expected[stage as usize])))
            .collect();
        let of = |protocol| {
            let phones = phones.iter();
            let phones = phones.filter(|phone| phone.family.protocol() == protocol);
            phones.count() as u64
        };
        let registered = watched.storm.map(|_| {
            [
                bar("registered", phones.len() as u64),
                bar("sccp", of("sccp")),
                bar("sip", of("sip")),
            ]
        });
        Self {
            phones: top,
            stages,
            registered,
            all,
        }
    }

    fn show(&self, progress: &Progress, elapsed: Duration, storm: &str) {
        let read = Progress::read;
        let files = progress.all_files() as f64 / elapsed.as_secs_f64().max(0.001);
        let failed = read(&progress.failed);
        self.phones.set_position(read(&progress.booted) + failed);
        self.phones.set_message(format!(
            "{files:.0} requests/s, {} MB, {} resends, {failed} failed",
            read(&progress.bytes) / 1_000_000,
            read(&progress.resends),
        ));
        self.show_registered(progress, elapsed, storm);
        for (stage, bar) in &self.stages {
            let files = read(&progress.files[*stage as usize]);
            // The images a .loads file names are known only when it has come.
            if bar.length().is_some_and(|length| length < files) {
                bar.set_length(files);
            }
            bar.set_position(files);
        }
    }

    /// `elapsed` is the time since the power is back.
    fn show_registered(&self, progress: &Progress, elapsed: Duration, storm: &str) {
        let Some([all, sccp, sip]) = &self.registered else {
            return;
        };
        let over = |over: Over| Progress::read(&progress.registered[over as usize]);
        let [over_sccp, over_sip] = [over(Over::Sccp), over(Over::SipTcp) + over(Over::SipUdp)];
        sccp.set_position(over_sccp);
        sip.set_position(over_sip);
        let registered = over_sccp + over_sip;
        all.set_position(registered);
        let booting = Progress::read(&progress.started)
            .saturating_sub(Progress::read(&progress.booted) + Progress::read(&progress.failed));
        let waiting = Progress::read(&progress.booted).saturating_sub(registered);
        let rate = registered as f64 / elapsed.as_secs_f64().max(0.001);
        let left = all.length().unwrap_or(0).saturating_sub(registered) as f64;
        let to_go = match registered {
            0 => String::new(),
            _ => format!(", {:.0} s to go", left / rate),
        };
        all.set_message(format!(
            "{booting} boot, {waiting} wait for their turn, {rate:.0}/s{to_go} {storm}"
        ));
    }

    /// What the bars say, in one line.
    fn line(&self) -> String {
        match &self.registered {
            Some([all, sccp, sip]) => format!(
                "{} of {} registered, {} SCCP and {} SIP: {}",
                all.position(),
                all.length().unwrap_or(0),
                sccp.position(),
                sip.position(),
                all.message()
            ),
            None => format!(
                "{} booted: {}",
                self.phones.position(),
                self.phones.message()
            ),
        }
    }

    fn clear(&self) {
        // A terminal that is gone is no reason to fail.
        let _ = self.all.clear();
    }
}
