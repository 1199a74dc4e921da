//! A proxy that knows one host.

use std::io::{Read, Write, copy};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// A proxy on a free loopback port. Whatever host it is asked for, it connects to one port of this machine.
pub struct Proxy {
    address: String,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Proxy {
    /// Starts a proxy that connects to this port, or asks for credentials and connects nobody.
    pub fn start(to: Option<u16>) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let asked = Arc::<Mutex<Vec<String>>>::default();
        let log = asked.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (Ok(stream), log) = (stream, log.clone()) else { return };
                // Either side may go at any time.
                std::thread::spawn(move || drop(serve(stream, to, &log)));
            }
        });
        Self { address, asked }
    }

    /// Host and port.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// What it was asked, each with its headers.
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

fn serve(mut client: TcpStream, to: Option<u16>, log: &Mutex<Vec<String>>) -> std::io::Result<()> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        client.read_exact(&mut byte)?;
        head.extend_from_slice(&byte);
    }
    log.lock().unwrap().push(String::from_utf8_lossy(&head).into_owned());
    let Some(port) = to else {
        let refusal = "HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic\r\nContent-Length: 0\r\n\r\n";
        return client.write_all(refusal.as_bytes());
    };
    let mut server = TcpStream::connect(("127.0.0.1", port))?;
    client.write_all(b"HTTP/1.1 200 Connected\r\n\r\n")?;
    let (mut from_client, mut to_server) = (client.try_clone()?, server.try_clone()?);
    let forth = std::thread::spawn(move || {
        let copied = copy(&mut from_client, &mut to_server);
        // The server has heard everything, or cannot be told.
        let _ = to_server.shutdown(Shutdown::Write);
        copied
    });
    copy(&mut server, &mut client)?;
    client.shutdown(Shutdown::Write)?;
    let _ = forth.join();
    Ok(())
}
