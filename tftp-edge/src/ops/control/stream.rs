//! Answers of many lines. Each piece is written when the one before was taken, so that the daemon
//! never holds more than a part of the table for a reader.

use std::io;

use serde::Serialize;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::mpsc::Receiver;
use tokio::time::timeout;

use super::{PATIENCE, Response};
use crate::ops::exit::Exit;
use crate::register::export::{Export, FOLLOWERS, Filter};
use crate::trace::Told;

/// Writes the registrations that the filter takes; gives back the last line.
pub(super) async fn registrations(
    export: &Export,
    filter: &Filter,
    write: &mut (impl AsyncWrite + Unpin),
) -> io::Result<Response> {
    let mut registrations = 0;
    for page in 0.. {
        let Some(rows) = export.page(page, filter) else {
            break;
        };
        registrations += rows.len() as u64;
        let lines = rows
            .into_iter()
            .map(|row| Response::Registration(Box::new(row)));
        write_lines(lines, write).await?;
    }
    Ok(Response::End { registrations })
}

/// Writes events until the reader is gone; gives back why there are none.
pub(super) async fn follow(
    export: &Export,
    filter: Filter,
    read: &mut (impl AsyncRead + Unpin),
    write: &mut (impl AsyncWrite + Unpin),
) -> io::Result<Response> {
    let Some(mut feed) = export.follow(filter) else {
        return Ok(Response::Refused {
            exit: Exit::Temporary,
            message: format!("{FOLLOWERS} others follow the registrations, and no more may"),
        });
    };
    let mut asked = [0; 1];
    // A reader that closed its own direction still reads; one that is gone is found out by writing.
    let mut may_ask = true;
    loop {
        tokio::select! {
            events = feed.next() => write_lines(events.into_iter(), write).await?,
            read = read.read(&mut asked), if may_ask => match read? {
                0 => may_ask = false,
                _ => {
                    let refused = "nothing can be asked while events are told; ask over another \
                                   connection";
                    return Ok(Response::Error(refused.to_owned()));
                }
            },
        }
    }
}

/// Lines of a trace that are written at once.
const TOLD_AT_ONCE: usize = 64;

/// Writes what a trace tells, to its end or until its reader is gone.
pub(super) async fn trace(
    mut told: Receiver<Told>,
    read: &mut (impl AsyncRead + Unpin),
    write: &mut (impl AsyncWrite + Unpin),
) -> io::Result<()> {
    let mut asked = [0; 1];
    let mut lines = Vec::with_capacity(TOLD_AT_ONCE);
    loop {
        tokio::select! {
            count = told.recv_many(&mut lines, TOLD_AT_ONCE) => match count {
                0 => return Ok(()),
                _ => write_lines(lines.drain(..), write).await?,
            },
            // A phone may be silent for long: that its reader has gone must not be found out by
            // writing alone.
            read = read.read(&mut asked) => match read? {
                0 => return Ok(()),
                _ => {
                    let refused = "nothing can be asked while a trace is told; ask over another \
                                   connection";
                    let refused = Response::Error(refused.to_owned());
                    return write_lines([refused].into_iter(), write).await;
                }
            },
        }
    }
}

async fn write_lines<T: Serialize>(
    lines: impl Iterator<Item = T>,
    write: &mut (impl AsyncWrite + Unpin),
) -> io::Result<()> {
    let mut text = Vec::new();
    for line in lines {
        serde_json::to_writer(&mut text, &line)?;
        text.push(b'\n');
    }
    timeout(PATIENCE, write.write_all(&text)).await?
}
