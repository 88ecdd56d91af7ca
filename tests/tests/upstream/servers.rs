//! Servers of other people, which do whatever a case wants.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// Not where clients ask from.
const ADDRESS: &str = "127.0.0.9:0";

/// A server that counts and remembers who asked for what.
pub struct Other {
    scheme: &'static str,
    pub address: SocketAddr,
    requests: Arc<Mutex<Vec<Vec<u8>>>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
    /// Requests being answered now, and the most there were.
    most: Arc<AtomicUsize>,
}

impl Other {
    /// Answers each connection over HTTP with whatever `answer` writes for a path.
    pub fn http(
        answer: impl Fn(&str, &mut TcpStream) -> io::Result<()> + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind(ADDRESS).unwrap();
        let mut other = Self::new("http", listener.local_addr().unwrap());
        let (requests, stop, most) = (
            other.requests.clone(),
            other.stop.clone(),
            other.most.clone(),
        );
        let (answer, now) = (Arc::new(answer), Arc::new(AtomicUsize::new(0)));
        other.thread = Some(thread::spawn(move || {
            for stream in listener.incoming() {
                if stop.load(Ordering::SeqCst) {
                    return;
                }
                let (Ok(mut stream), requests) = (stream, requests.clone()) else {
                    continue;
                };
                let (answer, now, most) = (answer.clone(), now.clone(), most.clone());
                thread::spawn(move || {
                    most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                    if let Ok(head) = head(&mut stream) {
                        let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
                        requests.lock().unwrap().push(head.into_bytes());
                        // It may have been hung up on.
                        let _ = answer(&path, &mut stream);
                    }
                    now.fetch_sub(1, Ordering::SeqCst);
                });
            }
        }));
        other
    }

    /// Answers each request over TFTP from a port of its own, with whatever `answer` sends.
    pub fn tftp(
        answer: impl Fn(&[u8], &UdpSocket) -> io::Result<()> + Send + Sync + 'static,
    ) -> Self {
        let socket = UdpSocket::bind(ADDRESS).unwrap();
        let mut other = Self::new("tftp", socket.local_addr().unwrap());
        let (requests, stop) = (other.requests.clone(), other.stop.clone());
        let answer = Arc::new(answer);
        socket
            .set_read_timeout(Some(Duration::from_millis(50)))
            .unwrap();
        other.thread = Some(thread::spawn(move || {
            let mut packet = [0; 2048];
            while !stop.load(Ordering::SeqCst) {
                let Ok((len, client)) = socket.recv_from(&mut packet) else {
                    continue;
                };
                let request = packet[..len].to_vec();
                requests.lock().unwrap().push(request.clone());
                let answer = answer.clone();
                thread::spawn(move || {
                    let own = UdpSocket::bind(ADDRESS).unwrap();
                    own.connect(client).unwrap();
                    own.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
                    let _ = answer(&request, &own);
                });
            }
        }));
        other
    }

    fn new(scheme: &'static str, address: SocketAddr) -> Self {
        Self {
            scheme,
            address,
            requests: Arc::default(),
            stop: Arc::default(),
            thread: None,
            most: Arc::default(),
        }
    }

    pub fn url(&self) -> String {
        format!("{}://{}", self.scheme, self.address)
    }

    /// How often it was asked.
    pub fn asked(&self) -> usize {
        self.requests.lock().unwrap().len()
    }

    pub fn requests(&self) -> Vec<String> {
        let requests = self.requests.lock().unwrap();
        let text = |request: &Vec<u8>| String::from_utf8_lossy(request).into_owned();
        requests.iter().map(text).collect()
    }

    /// The most it was asked at one time.
    pub fn most_at_once(&self) -> usize {
        self.most.load(Ordering::SeqCst)
    }
}

impl Drop for Other {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        if self.scheme == "http" {
            let _ = TcpStream::connect(self.address);
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn head(stream: &mut TcpStream) -> io::Result<String> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    Ok(String::from_utf8_lossy(&head).into_owned())
}

/// A whole and honest answer.
pub fn ok(stream: &mut TcpStream, content: &[u8]) -> io::Result<()> {
    write!(
        stream,
        "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n",
        content.len()
    )?;
    stream.write_all(content)
}

/// An answer without a body.
pub fn status(stream: &mut TcpStream, status: &str) -> io::Result<()> {
    write!(stream, "HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n")
}
