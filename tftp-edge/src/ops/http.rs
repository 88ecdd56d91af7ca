//! `/metrics`, `/livez`, `/readyz` and `/healthz` over HTTP, for Prometheus and supervisors; and
//! `/registrations` for PBXs.

mod health;
mod registrations;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde::Deserialize;
use tokio::task::JoinHandle;

use super::bounded::Bounded;
use super::metrics::Metrics;
use super::serve::{Port, serve};
use super::sources::Sources;
use crate::listen::ListenError;
use crate::service;

/// A scrape every 15 seconds from a handful of collectors needs far less.
const CONNECTIONS: usize = 64;
/// Longer than any scrape takes; a client that keeps its connection opens a new one.
const LIFETIME: Duration = Duration::from_secs(60);

/// `[metrics]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    pub enabled: bool,
    pub address: SocketAddr,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            enabled: true,
            address: (Ipv4Addr::LOCALHOST, 9466).into(),
        }
    }
}

/// A server that answers until it is dropped.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl Server {
    /// Must be called inside a tokio runtime.
    pub async fn start(address: SocketAddr, sources: Arc<Sources>) -> Result<Self, ListenError> {
        Self::start_bounded(address, sources, CONNECTIONS, LIFETIME).await
    }

    async fn start_bounded(
        address: SocketAddr,
        sources: Arc<Sources>,
        connections: usize,
        lifetime: Duration,
    ) -> Result<Self, ListenError> {
        let failed =
            |source| ListenError::tcp(address, "metrics.address", "metrics.enabled", source);
        let listener = service::sockets::listener(address).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let bounded = Bounded::new(listener, connections, lifetime);
        let refusals = Arc::clone(&sources.refusals);
        let task = tokio::spawn(serve(bounded, router(sources), Port::Metrics, refusals));
        Ok(Self { address, task })
    }

    /// Where it listens, with the port the system chose if the settings said 0.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn router(sources: Arc<Sources>) -> Router {
    let metrics = Arc::new(Metrics::new(Arc::clone(&sources)));
    let export = Arc::clone(&sources.export);
    Router::new()
        .merge(registrations::router(export))
        .merge(health::router(sources))
        .route("/metrics", get(exposition).with_state(metrics))
}

async fn exposition(State(metrics): State<Arc<Metrics>>) -> Response {
    // Reading the kernel's maps is a row of system calls.
    let text = tokio::task::spawn_blocking(move || metrics.text()).await;
    match text {
        Ok(Ok(text)) => ([(header::CONTENT_TYPE, Metrics::CONTENT_TYPE)], text).into_response(),
        Ok(Err(error)) => internal(&error),
        Err(error) => internal(&error),
    }
}

fn internal(error: &dyn std::error::Error) -> Response {
    tracing::error!(event = "metrics.unwritten", %error, "the metrics could not be written");
    (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")).into_response()
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;

    use std::time::SystemTime;

    use super::*;
    use crate::access::Access;
    use crate::inventory::Protocol;
    use crate::ops::sources::{Content, Sockets};
    use crate::register::export::{Export, FOLLOWERS, Filter, Row};
    use crate::register::{self, Edit, Registration, Table, Transport, storm};
    use crate::service::pulse::LoopStatus;

    fn any_port() -> SocketAddr {
        (Ipv4Addr::LOCALHOST, 0).into()
    }

    fn ready_sources() -> Sources {
        Sources {
            sockets: Arc::new(|| Sockets {
                bound: vec![any_port()],
                ..Sockets::default()
            }),
            content: Arc::new(|| Content {
                settled: true,
                ..Content::default()
            }),
            ..Sources::default()
        }
    }

    async fn fetch(server: &Server, request: &str) -> String {
        let mut stream = TcpStream::connect(server.address()).await.unwrap();
        let head = format!("{request} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    #[tokio::test]
    async fn metrics_are_served_in_the_text_format() {
        let server = Server::start(any_port(), Arc::new(Sources::default()))
            .await
            .unwrap();
        let answer = fetch(&server, "GET /metrics").await;
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
        assert!(answer.contains("content-type: text/plain; version=0.0.4"));
        assert!(answer.contains("\ntftp_edge_build_info{"));
        assert!(answer.contains("\nprocess_open_fds "));
    }

    #[tokio::test]
    async fn readiness_names_what_is_missing() {
        let server = Server::start(any_port(), Arc::new(Sources::default()))
            .await
            .unwrap();
        let answer = fetch(&server, "GET /readyz").await;
        assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
        assert!(answer.contains("not ready\nno TFTP socket is bound\nthe content is"));

        let server = Server::start(any_port(), Arc::new(ready_sources()))
            .await
            .unwrap();
        let answer = fetch(&server, "GET /readyz").await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        assert!(answer.ends_with("\r\n\r\nready\n"), "{answer}");
    }

    #[tokio::test]
    async fn a_storm_is_told_and_does_not_make_it_unready() {
        let mut sources = ready_sources();
        sources.register = Arc::new(|| {
            let mut register = register::Snapshot::default();
            register.mode = register::Mode::Registrar;
            register.storm.state = storm::State::Draining;
            register.storm.waiting = 5_000;
            register.storm.longest_wait = Duration::from_secs(75);
            register
        });
        let server = Server::start(any_port(), Arc::new(sources)).await.unwrap();
        let answer = fetch(&server, "GET /readyz").await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        let notice =
            "ready\nregistrations: draining, 5000 phones wait, the last of them 1 min 15 s\n";
        assert!(answer.ends_with(notice), "{answer}");
    }

    fn looping(loops: &'static [(&'static str, bool)]) -> Sources {
        let mut sources = ready_sources();
        sources.loops = Arc::new(|| {
            let status = |&(name, is_stuck): &(&str, bool)| LoopStatus {
                name: name.to_owned(),
                idle_ms: 12_345,
                is_stuck,
                has_panicked: false,
                waits_for_disks: false,
            };
            loops.iter().map(status).collect()
        });
        sources
    }

    #[tokio::test]
    async fn a_loop_that_is_stuck_is_named_with_its_age() {
        let sources = looping(&[("tftp-0", false), ("kernel", true)]);
        let server = Server::start(any_port(), Arc::new(sources)).await.unwrap();
        for path in ["/livez", "/healthz"] {
            let answer = fetch(&server, &format!("GET {path}")).await;
            assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
            let problem = "\nkernel has not gone round for 12 s\n";
            assert!(answer.ends_with(problem), "{answer}");
        }
        // It is another question whether it can serve.
        let answer = fetch(&server, "GET /readyz").await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    }

    #[tokio::test]
    async fn every_check_is_listed_for_who_asks() {
        let sources = looping(&[("tftp-0", false), ("kernel", true)]);
        let server = Server::start(any_port(), Arc::new(sources)).await.unwrap();
        let answer = fetch(&server, "GET /healthz?verbose").await;
        let (_, body) = answer.split_once("\r\n\r\n").unwrap();
        let lines: Vec<_> = body.lines().collect();
        assert_eq!(lines[0], "not healthy");
        assert!(lines[1].starts_with("ok       sockets since 20"), "{body}");
        let stuck = lines
            .iter()
            .position(|it| it.starts_with("failed   loop kernel since"));
        assert!(lines[stuck.unwrap() + 1].ends_with("kernel has not gone round for 12 s"));

        let mut stream = TcpStream::connect(server.address()).await.unwrap();
        let head = b"GET /livez HTTP/1.0\r\nAccept: application/json\r\n\r\n";
        stream.write_all(head).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.0 503 "), "{head}");
        let told: serde_json::Value = serde_json::from_str(body).unwrap();
        assert_eq!(told["status"], "failed");
        assert_eq!(told["checks"][0]["name"], "loop tftp-0");
        assert_eq!(told["checks"][0]["state"], "ok");
        assert_eq!(told["checks"][1]["state"], "failed");
        assert!(told["checks"][1]["since_ms"].as_u64().is_some());
    }

    #[tokio::test]
    async fn a_daemon_that_is_not_ready_is_alive() {
        let server = Server::start(any_port(), Arc::new(Sources::default()))
            .await
            .unwrap();
        assert!(
            fetch(&server, "GET /livez")
                .await
                .starts_with("HTTP/1.1 200 ")
        );
        assert!(
            fetch(&server, "GET /other")
                .await
                .starts_with("HTTP/1.1 404 ")
        );
        assert!(
            fetch(&server, "POST /livez")
                .await
                .starts_with("HTTP/1.1 405 ")
        );
    }

    #[tokio::test]
    async fn a_client_that_never_ends_its_request_is_cut_off_and_makes_room() {
        let sources = Arc::new(Sources::default());
        let server = Server::start_bounded(any_port(), sources, 1, Duration::from_millis(200))
            .await
            .unwrap();
        let mut slow = TcpStream::connect(server.address()).await.unwrap();
        slow.write_all(b"GET /livez HTTP/1.1\r\nHost:")
            .await
            .unwrap();
        // The only slot is taken: this one waits until the slow one is gone.
        let answer = tokio::time::timeout(Duration::from_secs(10), fetch(&server, "GET /livez"));
        assert!(answer.await.unwrap().starts_with("HTTP/1.1 200 "));
        let mut rest = Vec::new();
        let _ = slow.read_to_end(&mut rest).await;
    }

    #[tokio::test]
    async fn a_port_in_use_is_named_with_its_key() {
        let sources = Arc::new(Sources::default());
        let first = Server::start(any_port(), Arc::clone(&sources))
            .await
            .unwrap();
        let error = Server::start(first.address(), sources).await.unwrap_err();
        assert_eq!(
            error.to_string(),
            format!(
                "TCP {} is taken by {}; stop it, choose another address in metrics.address, or set \
                 metrics.enabled = false",
                first.address(),
                crate::port_owner::process(std::process::id())
            )
        );
    }

    fn phone(number: u32) -> Registration {
        Registration {
            device: format!("SEP{number:012X}").parse().unwrap(),
            protocol: Protocol::Sccp,
            transport: Transport::Tcp,
            source: ([10, 0, 0, 1], 50_000).into(),
            connection: None,
            type_id: None,
            load: None,
            version: 17,
            since: SystemTime::now(),
            expires: SystemTime::now(),
            bindings: Vec::new(),
        }
    }

    fn registered(table: &Table, phones: u32) {
        for phone in (0..phones).map(phone) {
            table.edit(&phone.device.clone(), |_| ((), Edit::Put(phone)));
        }
    }

    fn sources_of(table: &Arc<Table>) -> Arc<Sources> {
        let nobody = Access::from_nets(Vec::new());
        let export = Export::new(Arc::clone(table), Arc::default(), nobody);
        Arc::new(Sources {
            export: Arc::new(export),
            ..Sources::default()
        })
    }

    #[tokio::test]
    async fn registrations_are_one_json_array() {
        let table = Arc::new(Table::default());
        let server = Server::start(any_port(), sources_of(&table)).await.unwrap();
        let listed = async |query: &str| {
            let head = format!("GET /registrations{query} HTTP/1.0\r\n\r\n");
            let mut stream = TcpStream::connect(server.address()).await.unwrap();
            stream.write_all(head.as_bytes()).await.unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await.unwrap();
            let (_, body) = answer.split_once("\r\n\r\n").unwrap();
            serde_json::from_str::<Vec<Row>>(body).unwrap_or_else(|_| panic!("{answer}"))
        };
        assert!(listed("").await.is_empty());
        registered(&table, 500);
        assert_eq!(listed("").await.len(), 500);
        assert_eq!(listed("?device=SEP000000000007").await.len(), 1);
        assert!(listed("?protocol=sip").await.is_empty());
        let answer = fetch(&server, "GET /registrations?protocol=h323").await;
        assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    }

    #[tokio::test]
    async fn a_stream_outlives_the_limit_of_other_connections() {
        let table = Arc::new(Table::default());
        registered(&table, 1);
        let lifetime = Duration::from_millis(200);
        let sources = sources_of(&table);
        let server = Server::start_bounded(any_port(), sources, 4, lifetime)
            .await
            .unwrap();
        let mut stream = TcpStream::connect(server.address()).await.unwrap();
        let head = b"GET /registrations/stream HTTP/1.1\r\nHost: x\r\n\r\n";
        stream.write_all(head).await.unwrap();
        // Another connection is cut off in the meantime: the time has passed.
        let mut idle = TcpStream::connect(server.address()).await.unwrap();
        idle.write_all(b"GET /livez HTTP/1.1\r\nHost:")
            .await
            .unwrap();
        let mut rest = Vec::new();
        let _ = idle.read_to_end(&mut rest).await;
        registered(&table, 2);
        let mut told = String::new();
        while !told.contains("SEP000000000001") {
            let mut some = [0; 4_096];
            let len = stream.read(&mut some).await.unwrap();
            assert!(len > 0, "the stream has ended: {told}");
            told += std::str::from_utf8(&some[..len]).unwrap();
        }
        assert!(
            told.contains("{\"event\":\"synced\",\"registrations\":1}"),
            "{told}"
        );
        assert!(told.contains("content-type: application/x-ndjson"));
    }

    #[tokio::test]
    async fn streams_are_bounded() {
        let sources = sources_of(&Arc::default());
        let feeds: Vec<_> = (0..FOLLOWERS)
            .map(|_| sources.export.follow(Filter::default()).unwrap())
            .collect();
        let refusals = Arc::clone(&sources.refusals);
        let server = Server::start(any_port(), sources).await.unwrap();
        let answer = fetch(&server, "GET /registrations/stream").await;
        assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
        let too_many = crate::ops::serve::Refusal::TooManyStreams;
        let counts = refusals.counts()[Port::Metrics as usize];
        assert_eq!(counts[too_many as usize], 1);
        drop(feeds);
    }

    #[tokio::test]
    async fn whatever_is_wrong_is_counted_and_the_port_serves_again() {
        use crate::ops::serve::Refusal as R;

        let sources = Arc::new(ready_sources());
        let lifetime = Duration::from_millis(300);
        let server = Server::start_bounded(any_port(), Arc::clone(&sources), 4, lifetime)
            .await
            .unwrap();
        let long = format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(70_000));
        let lines = format!("GET / HTTP/1.1\r\n{}\r\n", "X-A: b\r\n".repeat(100));
        let cases: [(&[u8], R); 10] = [
            (b"nonsense\r\n\r\n", R::Malformed),
            (
                b"\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03",
                R::Malformed,
            ),
            (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", R::Malformed),
            (b"GET /a b HTTP/1.1\r\n\r\n", R::Malformed),
            (long.as_bytes(), R::TooLarge),
            (lines.as_bytes(), R::TooLarge),
            (b"GET /livez HTTP/1.1\r\nHost:", R::Incomplete),
            (b"GET /none HTTP/1.0\r\n\r\n", R::Absent),
            (b"DELETE /livez HTTP/1.0\r\n\r\n", R::Method),
            (
                b"GET /registrations?protocol=h323 HTTP/1.0\r\n\r\n",
                R::Malformed,
            ),
        ];
        for (sent, refusal) in cases {
            let count = || sources.refusals.counts()[Port::Metrics as usize];
            let before = count();
            let mut stream = TcpStream::connect(server.address()).await.unwrap();
            // It may be hung up on before all is sent, and before the answer is read.
            let _ = stream.write_all(sent).await;
            let _ = stream.read_to_end(&mut Vec::new()).await;
            let counted = async {
                while count() == before {
                    tokio::time::sleep(Duration::from_millis(2)).await;
                }
            };
            let shown = String::from_utf8_lossy(&sent[..sent.len().min(30)]).into_owned();
            let counted = tokio::time::timeout(Duration::from_secs(20), counted).await;
            assert!(counted.is_ok(), "{shown:?} is not counted");
            let mut wanted = before;
            wanted[refusal as usize] += 1;
            // One that waits for a place is no fault of its own.
            let mut now = count();
            now[R::Waited as usize] = wanted[R::Waited as usize];
            assert_eq!(now, wanted, "{shown:?}");
            let answer = fetch(&server, "GET /livez").await;
            assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        }
        // More than there are places for wait, and none is lost.
        let silent: Vec<_> = (0..8)
            .map(|_| TcpStream::connect(server.address()))
            .collect();
        for connecting in silent {
            let mut stream = connecting.await.unwrap();
            let _ = stream.write_all(b"GET /livez").await;
            tokio::spawn(async move { stream.read_to_end(&mut Vec::new()).await });
        }
        let answer = tokio::time::timeout(Duration::from_secs(20), fetch(&server, "GET /livez"));
        assert!(answer.await.unwrap().starts_with("HTTP/1.1 200 "));
        let counts = sources.refusals.counts()[Port::Metrics as usize];
        assert!(counts[R::Waited as usize] > 0, "{counts:?}");
    }
}
