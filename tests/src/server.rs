//! A server that says, byte for byte, what it is told to.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

/// A TCP server on a free loopback port that gives each request the next answer, then closes its connection.
pub struct Scripted {
    url: String,
    seen: Arc<(Mutex<Vec<String>>, Condvar)>,
}

impl Scripted {
    /// Starts a server with these answers; the last one is repeated. `None` holds the connection open and says
    /// nothing.
    pub fn start(answers: Vec<Option<Vec<u8>>>) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let seen = Arc::<(Mutex<Vec<String>>, Condvar)>::default();
        let log = seen.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(stream) = stream else { return };
                let (log, answers) = (log.clone(), answers.clone());
                // A client may open a connection that it never uses.
                std::thread::spawn(move || serve(stream, &log, &answers));
            }
        });
        Self { url, seen }
    }

    /// One whole HTTP answer, always the same.
    pub fn answering(status: &str, content_type: &str, body: &str) -> Self {
        Self::start(vec![Some(answer(status, content_type, body))])
    }

    /// The origin, without a path.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The requests as they came.
    pub fn seen(&self) -> Vec<String> {
        self.seen.0.lock().unwrap().clone()
    }

    /// Waits until a request has come, at most 30 s.
    pub fn wait_for_a_request(&self) {
        let seen = self.seen.0.lock().unwrap();
        let (seen, _) =
            self.seen.1.wait_timeout_while(seen, Duration::from_secs(30), |seen| seen.is_empty()).unwrap();
        assert!(!seen.is_empty(), "a request comes");
    }
}

fn answer(status: &str, content_type: &str, body: &str) -> Vec<u8> {
    format!(
        "HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// Reads one request and gives the next answer.
fn serve(mut stream: TcpStream, log: &(Mutex<Vec<String>>, Condvar), answers: &[Option<Vec<u8>>]) {
    let request = read_request(&mut stream);
    if request.is_empty() {
        return;
    }
    let number = {
        let mut seen = log.0.lock().unwrap();
        seen.push(request);
        seen.len() - 1
    };
    log.1.notify_all();
    match answers.get(number).or(answers.last()) {
        Some(Some(answer)) => {
            // The client may have gone.
            let _ = stream.write_all(answer);
        }
        // Until the client goes.
        _ => {
            let _ = stream.read(&mut [0; 1]);
        }
    }
}

/// Head and body of one request; empty when none comes.
fn read_request(stream: &mut TcpStream) -> String {
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let mut request = Vec::new();
    let mut buffer = [0; 8192];
    while let Ok(count @ 1..) = stream.read(&mut buffer) {
        request.extend_from_slice(buffer.get(..count).unwrap());
        let text = String::from_utf8_lossy(&request);
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            continue;
        };
        let length = head.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
        });
        if body.len() >= length.unwrap_or(0) {
            break;
        }
    }
    String::from_utf8_lossy(&request).into_owned()
}
