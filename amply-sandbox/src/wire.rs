//! The connections of a sandbox: TCP, but that the bytes of an answer may be replaced by a [`Script`].
//!
//! For what no HTTP server would send: half an answer, a wrong length, one byte a second, a reset.

use std::{
    collections::VecDeque,
    io,
    net::SocketAddr,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, ready},
    time::Duration,
};

use axum::{
    body::Bytes,
    extract::connect_info::Connected,
    serve::{IncomingStream, Listener},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    time::Sleep,
};

/// What is sent in place of the next answer of a connection, and how the connection ends.
#[derive(Debug)]
pub(crate) struct Script {
    pub(crate) parts: VecDeque<Bytes>,
    /// Time between two parts.
    pub(crate) every: Duration,
    pub(crate) end: End,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// In order: FIN.
    Close,
    /// RST. What is on its way may be lost with it, though on one machine it arrives.
    Reset,
}

/// Where a call came from, and the way to put a script on its connection.
#[derive(Clone, Debug)]
pub(crate) struct Peer {
    pub(crate) address: SocketAddr,
    script: Arc<Mutex<Option<Script>>>,
}

impl Peer {
    /// Replaces the answer that is written next.
    pub(crate) fn play(&self, script: Script) {
        *self.script.lock().unwrap_or_else(PoisonError::into_inner) = Some(script);
    }
}

impl Connected<IncomingStream<'_, Wires>> for Peer {
    fn connect_info(stream: IncomingStream<'_, Wires>) -> Self {
        Peer { address: *stream.remote_addr(), script: Arc::clone(&stream.io().script) }
    }
}

/// Listens for connections that can be scripted.
pub(crate) struct Wires(pub(crate) TcpListener);

impl Listener for Wires {
    type Io = Wire;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Wire, SocketAddr) {
        // Not the method of the same name, which gives up where this one waits until there are file descriptors again.
        let (stream, address) = <TcpListener as Listener>::accept(&mut self.0).await;
        (Wire { stream, script: Arc::default(), playing: None }, address)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }
}

/// One connection.
pub(crate) struct Wire {
    stream: TcpStream,
    script: Arc<Mutex<Option<Script>>>,
    playing: Option<Playing>,
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &[u8],
    ) -> Poll<io::Result<usize>> {
        let wire = &mut *self;
        if wire.playing.is_none() {
            let script = wire.script.lock().unwrap_or_else(PoisonError::into_inner).take();
            wire.playing = script.map(Playing::new);
        }
        let Some(playing) = &mut wire.playing else {
            return Pin::new(&mut wire.stream).poll_write(context, buffer);
        };
        ready!(playing.poll(&mut wire.stream, context))?;
        // The answer in `buffer` is never sent. The error makes the server drop the connection, which closes it.
        Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.playing.is_some() {
            // The script has its own end: a FIN here would come before its RST.
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

/// A script that has begun.
struct Playing {
    script: Script,
    pause: Option<Pin<Box<Sleep>>>,
}

impl Playing {
    fn new(script: Script) -> Self {
        Playing { script, pause: None }
    }

    fn poll(&mut self, stream: &mut TcpStream, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            if let Some(pause) = &mut self.pause {
                ready!(pause.as_mut().poll(context));
                self.pause = None;
            }
            let Some(part) = self.script.parts.front_mut() else { break };
            let written = ready!(Pin::new(&mut *stream).poll_write(context, part))?;
            let rest = part.split_off(written.min(part.len()));
            *part = rest;
            if part.is_empty() {
                self.script.parts.pop_front();
                let goes_on = !self.script.parts.is_empty() && !self.script.every.is_zero();
                self.pause = goes_on.then(|| Box::pin(tokio::time::sleep(self.script.every)));
            }
        }
        match self.script.end {
            End::Close => Pin::new(stream).poll_shutdown(context),
            End::Reset => Poll::Ready(stream.set_zero_linger()),
        }
    }
}
