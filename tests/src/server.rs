//! A server that does, byte for byte, what it is told to.

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use rustix::net::{AddressFamily, SocketType, bind, getsockname, socket};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

/// How long a test waits for what must come.
const PATIENCE: Duration = Duration::from_secs(30);

/// One thing that is done with a request, once it was read. After the last the connection is closed.
#[derive(Clone, Debug)]
pub enum Act {
    /// Sends these bytes.
    Send(Vec<u8>),
    /// Sends these bytes one by one, with a pause after each.
    Drip(Vec<u8>, Duration),
    /// Sends these bytes again and again until the client goes.
    Endless(Vec<u8>),
    /// Sends nothing more, but listens on until the client goes.
    HalfClose,
    /// Says nothing until the client goes.
    Hold,
    /// Breaks the connection off (RST).
    Reset,
    /// Waits for the next request on the same connection.
    KeepOpen,
}

/// A TCP server on a free loopback port that answers each request by the next script. It ends with the test.
pub struct Scripted {
    url: String,
    shared: Arc<Shared>,
}

/// What the threads of a server know together.
struct Shared {
    scripts: Vec<Vec<Act>>,
    /// Whether a request is read at all before its script is followed.
    reads: bool,
    tls: Option<Arc<ServerConfig>>,
    log: Mutex<Log>,
    news: Condvar,
}

#[derive(Default)]
struct Log {
    requests: Vec<(usize, String)>,
    connections: usize,
    open: HashMap<usize, TcpStream>,
    sent: usize,
}

impl Scripted {
    /// Starts a server with these answers; the last one is repeated. `None` holds the connection open and says
    /// nothing.
    pub fn start(answers: Vec<Option<Vec<u8>>>) -> Self {
        let act = |answer: Option<Vec<u8>>| vec![answer.map_or(Act::Hold, Act::Send)];
        Self::following(answers.into_iter().map(act).collect())
    }

    /// One whole HTTP answer, always the same, each on a connection of its own.
    pub fn answering(status: &str, content_type: &str, body: &str) -> Self {
        let head = format!("{status}\r\nContent-Type: {content_type}\r\nConnection: close");
        Self::start(vec![Some(answer(&head, body))])
    }

    /// Starts a server with a script for each request; the last one is repeated.
    pub fn following(scripts: Vec<Vec<Act>>) -> Self {
        Self::launch(|_| scripts, true, None)
    }

    /// The same, with scripts that name the server's own origin.
    pub fn knowing_its_origin(scripts: impl FnOnce(&str) -> Vec<Vec<Act>>) -> Self {
        Self::launch(scripts, true, None)
    }

    /// The same over TLS, as `https://localhost:PORT`.
    pub fn following_over_tls(scripts: Vec<Vec<Act>>, tls: Arc<ServerConfig>) -> Self {
        Self::launch(|_| scripts, true, Some(tls))
    }

    /// A server that reads nothing: it follows the script as soon as somebody connects.
    pub fn deaf(script: Vec<Act>) -> Self {
        Self::launch(|_| vec![script], false, None)
    }

    fn launch(
        scripts: impl FnOnce(&str) -> Vec<Vec<Act>>,
        reads: bool,
        tls: Option<Arc<ServerConfig>>,
    ) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let url = match &tls {
            Some(_) => format!("https://localhost:{port}"),
            None => format!("http://127.0.0.1:{port}"),
        };
        let scripts = scripts(&url);
        let shared = Arc::new(Shared { scripts, reads, tls, log: Mutex::default(), news: Condvar::new() });
        let server = Self { url, shared: shared.clone() };
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(stream) = stream else { return };
                let shared = shared.clone();
                // A client may open a connection that it never uses.
                std::thread::spawn(move || shared.serve(stream));
            }
        });
        server
    }

    /// The origin, without a path.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.url.rsplit(':').next().unwrap().parse().unwrap()
    }

    /// The requests as they came.
    pub fn seen(&self) -> Vec<String> {
        self.log().requests.iter().map(|(_, request)| request.clone()).collect()
    }

    /// For each request the number of the connection that it came on.
    pub fn seen_on(&self) -> Vec<usize> {
        self.log().requests.iter().map(|(connection, _)| *connection).collect()
    }

    /// How many connections were made, used or not.
    pub fn connections(&self) -> usize {
        self.log().connections
    }

    /// How many connections are open.
    pub fn open(&self) -> usize {
        self.log().open.len()
    }

    /// How many bytes could be sent, as far as the sending system is concerned.
    pub fn sent(&self) -> usize {
        self.log().sent
    }

    /// Waits until a request has come.
    pub fn wait_for_a_request(&self) {
        self.wait_for_requests(1);
    }

    /// The same for a number of requests.
    pub fn wait_for_requests(&self, count: usize) {
        self.shared.wait(|log| log.requests.len() >= count, "a request comes");
    }

    /// Waits until the client has closed all connections, for which its runtime must run on.
    pub async fn wait_until_all_are_closed(&self) {
        let shared = self.shared.clone();
        let wait = move || shared.wait(|log| log.open.is_empty(), "the client closes its connections");
        tokio::task::spawn_blocking(wait).await.unwrap();
    }

    /// Closes all connections, as a server does with idle ones. Returns when that has reached the client's system.
    pub fn close_connections(&self) {
        for stream in self.log().open.values() {
            // The client may have been first.
            let _ = stream.shutdown(Shutdown::Both);
        }
        self.shared.wait(|log| log.open.is_empty(), "all connections are closed");
    }

    fn log(&self) -> std::sync::MutexGuard<'_, Log> {
        self.shared.log.lock().unwrap()
    }
}

/// A whole answer: status and headers (`200 OK\r\nName: value`), then the body with its length.
pub fn answer(head: &str, body: &str) -> Vec<u8> {
    format!("HTTP/1.1 {head}\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

impl Shared {
    fn wait(&self, until: impl Fn(&Log) -> bool, what: &str) {
        let log = self.log.lock().unwrap();
        let (log, _) = self.news.wait_timeout_while(log, PATIENCE, |log| !until(log)).unwrap();
        let is_so = until(&log);
        drop(log);
        assert!(is_so, "{what}");
    }

    fn serve(&self, stream: TcpStream) {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        let number = {
            let mut log = self.log.lock().unwrap();
            log.connections += 1;
            let number = log.connections;
            log.open.insert(number, stream.try_clone().unwrap());
            number
        };
        let mut wire = match &self.tls {
            Some(tls) => {
                let session = ServerConnection::new(tls.clone()).unwrap();
                Wire::Tls(Box::new(StreamOwned::new(session, stream)))
            }
            None => Wire::Plain(stream),
        };
        while let Some(script) = self.next_script(&mut wire, number) {
            if !self.follow(&script, &mut wire) {
                break;
            }
        }
        // The log's own copy goes first: the last one that is dropped closes.
        let copy = self.log.lock().unwrap().open.remove(&number);
        drop((copy, wire));
        self.news.notify_all();
    }

    fn next_script(&self, wire: &mut Wire, connection: usize) -> Option<Vec<Act>> {
        if !self.reads {
            return self.scripts.first().cloned();
        }
        let request = read_request(wire)?;
        let number = {
            let mut log = self.log.lock().unwrap();
            log.requests.push((connection, request));
            log.requests.len() - 1
        };
        self.news.notify_all();
        self.scripts.get(number).or(self.scripts.last()).cloned()
    }

    /// Does what the script says; whether the connection is kept for another request.
    fn follow(&self, script: &[Act], wire: &mut Wire) -> bool {
        for act in script {
            // Where sending fails the client has gone.
            let done = match act {
                Act::Send(bytes) => self.send(wire, bytes),
                Act::Drip(bytes, pause) => bytes.iter().try_for_each(|byte| {
                    self.send(wire, &[*byte])?;
                    std::thread::sleep(*pause);
                    Ok(())
                }),
                Act::Endless(bytes) => loop {
                    if let Err(error) = self.send(wire, bytes) {
                        break Err(error);
                    }
                },
                Act::HalfClose => wire.tcp().shutdown(Shutdown::Write).and_then(|()| drain(wire)),
                Act::Hold => drain(wire),
                Act::Reset => {
                    rustix::net::sockopt::set_socket_linger(wire.tcp(), Some(Duration::ZERO)).unwrap();
                    return false;
                }
                Act::KeepOpen => return true,
            };
            if done.is_err() {
                return false;
            }
        }
        false
    }

    fn send(&self, wire: &mut Wire, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let count = wire.write(bytes)?;
            bytes = bytes.get(count..).unwrap();
            self.log.lock().unwrap().sent += count;
        }
        wire.flush()
    }
}

/// Reads until the client goes.
fn drain(wire: &mut Wire) -> io::Result<()> {
    let mut buffer = [0; 8192];
    while wire.read(&mut buffer)? > 0 {}
    Ok(())
}

/// Head and body of one request; none when none comes.
fn read_request(wire: &mut Wire) -> Option<String> {
    let mut request = Vec::new();
    let mut buffer = [0; 8192];
    while let Ok(count @ 1..) = wire.read(&mut buffer) {
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
    (!request.is_empty()).then(|| String::from_utf8_lossy(&request).into_owned())
}

enum Wire {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ServerConnection, TcpStream>>),
}

impl Wire {
    fn tcp(&self) -> &TcpStream {
        match self {
            Self::Plain(stream) => stream,
            Self::Tls(stream) => &stream.sock,
        }
    }
}

impl Read for Wire {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.read(buffer),
            Self::Tls(stream) => stream.read(buffer),
        }
    }
}

impl Write for Wire {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.write(bytes),
            Self::Tls(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(stream) => stream.flush(),
            Self::Tls(stream) => stream.flush(),
        }
    }
}

/// A port of this machine on which no connection is made, as long as this lives.
pub struct Refusing {
    url: String,
    /// Holds the port, and fills its queue.
    _held: (OwnedFd, Vec<TcpStream>),
}

impl Refusing {
    /// Every connection is refused.
    pub fn new() -> Self {
        let (socket, address) = bound();
        Self { url: format!("http://{address}"), _held: (socket, Vec::new()) }
    }

    /// Nothing answers: the queue of connections is full, and nobody takes one out.
    pub fn silent() -> Self {
        let (socket, address) = bound();
        rustix::net::listen(&socket, 0).unwrap();
        let connect = || TcpStream::connect_timeout(&address, Duration::from_millis(200));
        // One connection more than the queue is said to hold is taken; this ends at the first that is not.
        let queued = std::iter::from_fn(|| connect().ok()).take(16).collect();
        Self { url: format!("http://{address}"), _held: (socket, queued) }
    }

    /// The origin, without a path.
    pub fn url(&self) -> &str {
        &self.url
    }
}

impl Default for Refusing {
    fn default() -> Self {
        Self::new()
    }
}

/// A socket that has a port and does not listen.
fn bound() -> (OwnedFd, SocketAddr) {
    let socket = socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
    bind(&socket, &SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    let address = getsockname(&socket).unwrap().try_into().unwrap();
    (socket, address)
}
