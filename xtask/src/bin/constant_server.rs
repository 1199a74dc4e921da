//! A server for benchmarks: it answers every request with one recorded route, and does nothing else that could cost time.
//!
//! `constant-server FILE` listens on a free port of 127.0.0.1 and prints it; FILE is a recorded exchange of
//! `tests/fixtures`, or the body itself. It ends with its standard input.

#![forbid(unsafe_code)]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::Arc;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let file = std::env::args().nth(1).ok_or("usage: constant-server FILE")?;
    let body = std::fs::read_to_string(&file)?;
    let answer: Arc<[u8]> = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nX-Amply-Request-Id: constant\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
    .into();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    writeln!(std::io::stdout(), "{}", listener.local_addr()?.port())?;
    std::thread::spawn(move || {
        for connection in listener.incoming().flatten() {
            let answer = Arc::clone(&answer);
            std::thread::spawn(move || serve(&connection, &answer));
        }
    });
    // Whoever started it closes this.
    let _ = std::io::stdin().read_to_end(&mut Vec::new());
    Ok(())
}

/// Answers until the other side has enough.
fn serve(connection: &TcpStream, answer: &[u8]) -> std::io::Result<()> {
    connection.set_nodelay(true)?;
    let mut reader = BufReader::new(connection);
    let mut line = String::new();
    loop {
        let (mut length, mut closes, mut is_head) = (0, false, true);
        loop {
            line.clear();
            if reader.read_line(&mut line)? == 0 {
                return Ok(());
            }
            let field = line.trim_end().to_ascii_lowercase();
            if field.is_empty() && !is_head {
                break;
            }
            is_head = false;
            match field.split_once(':') {
                Some(("content-length", value)) => length = value.trim().parse().unwrap_or(0),
                Some(("connection", value)) => closes = value.trim() == "close",
                _ => {}
            }
        }
        std::io::copy(&mut (&mut reader).take(length), &mut std::io::sink())?;
        (&mut &*connection).write_all(answer)?;
        if closes {
            return Ok(());
        }
    }
}
