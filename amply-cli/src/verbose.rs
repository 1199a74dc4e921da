//! `--verbose`: the SDK's own events, one line each on standard error.

use std::fmt;

use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

/// Shows attempts and waits from now on.
pub(crate) fn show_attempts() {
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::DEBUG)
        .with_writer(std::io::stderr)
        // Where standard error cannot be written there is nobody to tell.
        .log_internal_errors(false)
        .event_format(Plain)
        .finish();
    // Only a program that set another one before could make this fail.
    let _ = tracing::subscriber::set_global_default(subscriber);
}

struct Plain;

impl<S, N> FormatEvent<S, N> for Plain
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut to: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        // The command warns in its own words.
        let is_warning = *event.metadata().level() <= tracing::Level::WARN;
        if is_warning || !event.metadata().target().starts_with("amply_sdk") {
            return Ok(());
        }
        let mut line = String::new();
        context.format_fields(Writer::new(&mut line), event)?;
        writeln!(to, "{}", amply_sdk::printable(&line))
    }
}
