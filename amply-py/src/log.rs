//! What the SDK logs, handed to `logging.getLogger("amply_sdk")`. The SDK logs no secret.
//!
//! Asking the logger costs more than what is logged; so whether it wants anything is looked up once for a call, and one
//! number tells all threads.

use std::fmt::{self, Write};
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};

use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

use crate::aside;

/// Levels of Python's logging.
const DEBUG: u8 = 10;
const INFO: u8 = 20;
const WARNING: u8 = 30;
const ERROR: u8 = 40;

/// The least level that the logger wants.
static WANTED: AtomicU8 = AtomicU8::new(WARNING);
static IS_STARTED: AtomicBool = AtomicBool::new(false);
static LOGGER: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
static IS_ENABLED_FOR: PyOnceLock<Py<PyAny>> = PyOnceLock::new();

/// Begins to hand on what is logged.
pub(crate) fn start(py: Python<'_>) -> PyResult<()> {
    if !IS_STARTED.swap(true, Ordering::Relaxed) {
        LOGGER.get_or_try_init(py, || {
            let logger = py.import("logging")?.call_method1("getLogger", ("amply_sdk",))?;
            PyResult::Ok(logger.unbind())
        })?;
        // Nobody else sets one: this library is one's own copy.
        let _ = tracing::subscriber::set_global_default(ToLogger);
    }
    refresh(py);
    Ok(())
}

/// Looks up what the logger wants.
pub(crate) fn refresh(py: Python<'_>) {
    let Some(logger) = LOGGER.get(py) else { return };
    let is_enabled = IS_ENABLED_FOR.get_or_try_init(py, || logger.getattr(py, "isEnabledFor"));
    let wants_all = is_enabled.and_then(|is_enabled| is_enabled.bind(py).call1((DEBUG,))?.is_truthy());
    // A logger that cannot be asked gets what matters.
    WANTED.store(if wants_all.unwrap_or(false) { DEBUG } else { WARNING }, Ordering::Relaxed);
}

struct ToLogger;

impl Subscriber for ToLogger {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_event()
            && metadata.target().starts_with("amply_sdk")
            && level(metadata.level()) >= WANTED.load(Ordering::Relaxed)
    }

    // What is wanted changes, so that nothing may be remembered.
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> tracing::subscriber::Interest {
        match metadata.is_event() && metadata.target().starts_with("amply_sdk") {
            true => tracing::subscriber::Interest::sometimes(),
            false => tracing::subscriber::Interest::never(),
        }
    }

    fn event(&self, event: &Event<'_>) {
        let mut words = Words(String::new());
        event.record(&mut words);
        let level = level(event.metadata().level());
        aside::tell(move || {
            // When the interpreter ends nobody listens.
            Python::try_attach(|py| {
                let Some(logger) = LOGGER.get(py) else { return };
                if let Err(error) = logger.call_method1(py, "log", (level, "%s", words.0)) {
                    error.write_unraisable(py, None);
                }
            });
        });
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

fn level(level: &Level) -> u8 {
    match *level {
        Level::ERROR => ERROR,
        Level::WARN => WARNING,
        Level::INFO => INFO,
        _ => DEBUG,
    }
}

struct Words(String);

impl Visit for Words {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let blank = if self.0.is_empty() { "" } else { " " };
        // A text takes all that is written to it.
        let _ = match field.name() {
            "message" => write!(self.0, "{blank}{value:?}"),
            name => write!(self.0, "{blank}{name}={value:?}"),
        };
    }
}
