//! Where no daemon of ours answers: nobody, another version, or one that may not be asked.

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixListener;
use std::thread;

use tftp_edge::ops::control::Response;
use tftp_edge::ops::exit::Exit;
use tftp_edge::ops::reload::Reloaded;

use super::scene::{DEVICE, OF_FILES, PROGRAM, Scene, Seen, restricted};

const ASKING: [&[&str]; 9] = [
    &["status"],
    &["reload"],
    &["phones"],
    &["why", DEVICE],
    &["report"],
    &["registrations"],
    &["bans", "list"],
    &["log", "level"],
    &["trace", "192.0.2.9"],
];

pub fn nobody_answers(seen: &Seen) {
    let scene = Scene::new();
    for words in ASKING {
        scene.expect(seen, Exit::Unavailable, words);
    }
    scene.expect_on_terminal(seen, Exit::Unavailable, PROGRAM, "");
    // One that ends in the middle of its answer.
    answer(&scene, "{\"stat");
    for words in ASKING {
        scene.expect(seen, Exit::Unavailable, words);
    }
}

pub fn one_of_another_version(seen: &Seen) {
    let scene = Scene::new();
    answer(&scene, "{\"tomorrow\":{}}\n");
    for words in ASKING {
        scene.expect(seen, Exit::Software, words);
    }
    scene.expect_on_terminal(seen, Exit::Software, PROGRAM, "");

    // It understood nothing.
    let scene = Scene::new();
    answer(
        &scene,
        &line(&Response::Error("request not understood".into())),
    );
    for words in ASKING {
        scene.expect(seen, Exit::Software, words);
    }

    // Ours, in the moment in which it ends.
    let scene = Scene::new();
    answer(&scene, &line(&Response::Reloaded(Reloaded::Stopping)));
    scene.expect(seen, Exit::Temporary, &["reload"]);
}

pub fn one_that_may_not_be_asked(seen: &Seen) {
    let scene = Scene::new();
    answer(&scene, "");
    scene.close("control.sock");
    for words in ASKING {
        scene.expect_forbidden(seen, words);
    }
    let (program, arguments) = restricted(OF_FILES);
    let words = [&[program][..], &arguments].concat().join(" ");
    scene.expect_on_terminal(seen, Exit::NoPermission, &words, "");
}

fn line(response: &Response) -> String {
    serde_json::to_string(response).unwrap() + "\n"
}

/// Answers everybody with this, for as long as the test runs.
fn answer(scene: &Scene, with: &str) {
    let listener = UnixListener::bind(scene.path("control.sock")).unwrap_or_else(|_| {
        std::fs::remove_file(scene.path("control.sock")).unwrap();
        UnixListener::bind(scene.path("control.sock")).unwrap()
    });
    let with = with.to_owned();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let stream = stream.unwrap();
            let mut request = String::new();
            // Whoever is gone again needs no answer.
            let _ = BufReader::new(&stream).read_line(&mut request);
            let _ = (&stream).write_all(with.as_bytes());
        }
    });
}
