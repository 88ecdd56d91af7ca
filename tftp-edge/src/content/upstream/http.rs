//! Reading a file over HTTP/1.1 (RFC 9112), as from CUCM's TFTP service on port 6970.
//!
//! One connection for each file: the server closes it behind the body, which shows whether there is
//! more than it had announced. A body must say how long it is, one way or the other: one that ends
//! with the connection may be half a file. No redirect is followed.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::header::{self, HeaderMap};
use hyper::{Request, Response, StatusCode, Version};
use hyper_util::rt::TokioIo;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::forwarded::{MARK, PSEUDONYM};
use super::outcome::{Failure, Outcome};
use super::pace::Pace;
use super::room::Room;

/// Of a response's head.
const MAX_HEAD: usize = 16 << 10;
const MAX_HEADERS: usize = 64;

/// How long a server that does not close the connection is listened to behind the body.
const LINGER: Duration = Duration::from_millis(200);

const USER_AGENT: &str = concat!("tftp-edge/", env!("CARGO_PKG_VERSION"));

pub(super) async fn fetch(
    server: SocketAddr,
    name: &[u8],
    max_len: u64,
    patience: Duration,
    room: &mut Room,
) -> Outcome {
    let stream = match timeout(patience, TcpStream::connect(server)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(_)) => return Err(Failure::Unreachable),
        Err(_) => return Err(Failure::Timeout),
    };
    let (mut sender, connection) = http1::Builder::new()
        .max_buf_size(MAX_HEAD)
        .max_headers(MAX_HEADERS)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(|_| Failure::Broken)?;
    let body = async move {
        let request = request(server, name)?;
        let response = match timeout(patience, sender.send_request(request)).await {
            Ok(Ok(response)) => response,
            Ok(Err(_)) => return Err(Failure::Broken),
            Err(_) => return Err(Failure::Timeout),
        };
        accept(&response, name, max_len)?;
        read(response.into_body(), max_len, patience, room).await
        // The sender goes here, and with it the connection ends.
    };
    let whole = async {
        let Ok(mut parts) = connection.without_shutdown().await else {
            // Either the answer was broken, which the other half sees, or there is more behind it.
            return Err(Failure::Broken);
        };
        ends_here(&mut parts.io, &parts.read_buf).await
    };
    join(body, whole).await
}

/// Drives the connection while the body is read. What is wrong with the body is told at once.
async fn join(
    body: impl Future<Output = Outcome>,
    whole: impl Future<Output = Result<(), Failure>>,
) -> Outcome {
    let (mut body, mut whole) = (std::pin::pin!(body), std::pin::pin!(whole));
    tokio::select! {
        biased;
        body = &mut body => {
            let body = body?;
            whole.await.map(|()| body)
        }
        // It ended first: what was read until then is still to be taken.
        ended = &mut whole => {
            let body = body.await?;
            ended.map(|()| body)
        }
    }
}

fn request(server: SocketAddr, name: &[u8]) -> Result<Request<Empty<Bytes>>, Failure> {
    Request::get(path(name))
        .header(header::HOST, server.to_string())
        .header(header::USER_AGENT, USER_AGENT)
        .header(header::ACCEPT_ENCODING, "identity")
        .header(header::CONNECTION, "close")
        .header(MARK, PSEUDONYM)
        .body(Empty::new())
        // The path is percent-encoded; nothing else comes from outside.
        .map_err(|_| Failure::Broken)
}

/// The name as a path: all but unreserved characters (RFC 3986 section 2.3) and `/` is encoded.
fn path(name: &[u8]) -> String {
    let mut path = String::with_capacity(name.len() + 1);
    path.push('/');
    for &byte in name {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => {
                path.push(char::from(byte));
            }
            byte => path.push_str(&format!("%{byte:02X}")),
        }
    }
    path
}

/// Whether what follows is the file, whole and as it is.
fn accept(response: &Response<Incoming>, name: &[u8], max_len: u64) -> Result<(), Failure> {
    let status = response.status();
    match status {
        StatusCode::OK => {}
        StatusCode::NOT_FOUND | StatusCode::GONE => return Err(Failure::NotFound),
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => return Err(Failure::Forbidden),
        // It was not asked for in this way.
        StatusCode::NO_CONTENT | StatusCode::PARTIAL_CONTENT => return Err(Failure::WrongType),
        StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT => {
            return Err(Failure::Unavailable);
        }
        _ if status.is_redirection() => return Err(Failure::Redirect),
        _ if status.is_server_error() => return Err(Failure::Unavailable),
        _ => return Err(Failure::Broken),
    }
    let headers = response.headers();
    if !is_plain_file(headers, name) {
        return Err(Failure::WrongType);
    }
    let len = headers.get(header::CONTENT_LENGTH);
    let is_chunked =
        response.version() == Version::HTTP_11 && headers.contains_key(header::TRANSFER_ENCODING);
    if len.is_none() && !is_chunked {
        return Err(Failure::Broken);
    }
    let announced = len.and_then(|len| len.to_str().ok()?.parse::<u64>().ok());
    match announced.is_some_and(|len| len > max_len) {
        true => Err(Failure::TooLarge),
        false => Ok(()),
    }
}

/// An error page that says 200 is an HTML page, which no phone asks for by another name.
fn is_plain_file(headers: &HeaderMap, name: &[u8]) -> bool {
    let text = |name| {
        let value = headers.get(name).map(|value| value.as_bytes());
        value.unwrap_or_default().to_ascii_lowercase()
    };
    let (kind, coding) = (text(header::CONTENT_TYPE), text(header::CONTENT_ENCODING));
    let name = name.to_ascii_lowercase();
    let is_page = name.ends_with(b".html") || name.ends_with(b".htm");
    let is_wrong = kind.starts_with(b"multipart/") || kind.starts_with(b"text/html") && !is_page;
    !is_wrong && matches!(coding.as_slice(), b"" | b"identity")
}

async fn read(mut body: Incoming, max_len: u64, patience: Duration, room: &mut Room) -> Outcome {
    let mut content = Vec::new();
    let mut pace = Pace::new(patience, Instant::now());
    loop {
        let frame = match timeout(patience, body.frame()).await {
            Err(_) => return Err(Failure::Timeout),
            Ok(None) => break,
            // Cut off before its announced end, among others.
            Ok(Some(Err(_))) => return Err(Failure::Broken),
            Ok(Some(Ok(frame))) => frame,
        };
        // Trailers say nothing of the file.
        let Ok(data) = frame.into_data() else {
            continue;
        };
        if (content.len() + data.len()) as u64 > max_len {
            return Err(Failure::TooLarge);
        }
        content.extend_from_slice(&data);
        if !room.hold(content.len()) {
            return Err(Failure::NoRoom);
        }
        if !pace.keeps_up(content.len(), Instant::now()) {
            return Err(Failure::Timeout);
        }
    }
    content.shrink_to_fit();
    Ok(Bytes::from(content))
}

/// Whether nothing follows the body: else it was longer than announced, and what was read is the
/// beginning of something. A line end is no content; old servers send one.
async fn ends_here(io: &mut TokioIo<TcpStream>, read: &[u8]) -> Result<(), Failure> {
    let is_line_end = |bytes: &[u8]| bytes.iter().all(|byte| matches!(byte, b'\r' | b'\n'));
    let mut more = [0; 64];
    let more = match timeout(LINGER, io.inner_mut().read(&mut more)).await {
        Ok(Ok(len)) => &more[..len],
        // It was reset behind the body, or stays open.
        Ok(Err(_)) | Err(_) => &[],
    };
    match is_line_end(read) && is_line_end(more) {
        true => Ok(()),
        false => Err(Failure::Broken),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_encoded_as_a_path() {
        assert_eq!(
            path(b"Desktops/320x196x4/List.xml"),
            "/Desktops/320x196x4/List.xml"
        );
        assert_eq!(path(b"a b?c#d%e:f"), "/a%20b%3Fc%23d%25e%3Af");
    }
}
