//! Live progress of a fleet.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use tftp_ebpf::stage::Stage;

use crate::phones::{PhoneSpec, Progress};

/// Shows bars on standard error, if it is a terminal, while `work` runs.
pub fn watch<T: Send>(
    title: &str,
    phones: &[PhoneSpec],
    progress: &Progress,
    work: impl FnOnce() -> T + Send,
) -> T {
    let bars = Bars::new(title, phones);
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            let started = Instant::now();
            while !done.load(Ordering::Relaxed) {
                bars.show(progress, started.elapsed());
                thread::sleep(Duration::from_millis(100));
            }
            bars.show(progress, started.elapsed());
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
}

impl Bars {
    fn new(title: &str, phones: &[PhoneSpec]) -> Self {
        let style = ProgressStyle::with_template("{prefix:>12} [{bar:40}] {pos:>7}/{len:7} {msg}")
            .expect("the template is a valid one")
            .progress_chars("=> ");
        let all = MultiProgress::new();
        let bar = |prefix: &str, len: u64| {
            let bar = all.add(ProgressBar::new(len).with_style(style.clone()));
            bar.set_prefix(prefix.to_owned());
            bar
        };
        let top = bar(title, phones.len() as u64);
        let mut expected = [0_u64; Stage::COUNT];
        for name in phones.iter().flat_map(|phone| &phone.files) {
            expected[Stage::of_name(name.to_ascii_lowercase().as_bytes()) as usize] += 1;
        }
        let stages = Stage::ALL
            .into_iter()
            .filter(|&stage| expected[stage as usize] > 0)
            .map(|stage| (stage, bar(stage.as_str(), expected[stage as usize])))
            .collect();
        Self {
            all,
            phones: top,
            stages,
        }
    }

    fn show(&self, progress: &Progress, elapsed: Duration) {
        let read = Progress::read;
        let files = progress.all_files() as f64 / elapsed.as_secs_f64().max(0.001);
        let failed = read(&progress.failed);
        self.phones.set_position(read(&progress.booted) + failed);
        self.phones.set_message(format!(
            "{files:.0} requests/s, {} MB, {} resends, {failed} failed",
            read(&progress.bytes) / 1_000_000,
            read(&progress.resends),
        ));
        for (stage, bar) in &self.stages {
            let files = read(&progress.files[*stage as usize]);
            // The images a .loads file names are known only when it has come.
            if bar.length().is_some_and(|length| length < files) {
                bar.set_length(files);
            }
            bar.set_position(files);
        }
    }

    fn clear(&self) {
        // A terminal that is gone is no reason to fail.
        let _ = self.all.clear();
    }
}
