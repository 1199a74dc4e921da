//! Tables and paragraphs for people, as lines of text without colour.

use comfy_table::presets::NOTHING;
use comfy_table::{Cell, CellAlignment, ColumnConstraint, ContentArrangement, Table};

/// A column: its heading, whether it holds numbers, and whether its cells are never broken.
pub(crate) struct Column {
    heading: &'static str,
    is_number: bool,
    is_whole: bool,
}

pub(crate) const fn text(heading: &'static str) -> Column {
    Column { heading, is_number: false, is_whole: false }
}

pub(crate) const fn number(heading: &'static str) -> Column {
    Column { heading, is_number: true, is_whole: false }
}

/// For what is copied, such as an id: it stays in one piece, however narrow the terminal is.
pub(crate) const fn whole(heading: &'static str) -> Column {
    Column { heading, is_number: false, is_whole: true }
}

/// The lines of a table: one for the headings, then the rows. A row takes more lines where a cell is too wide.
pub(crate) fn lines(columns: &[Column], rows: Vec<Vec<String>>, width: usize) -> Vec<String> {
    let mut table = Table::new();
    table.load_style(NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
    table.set_width(u16::try_from(width).unwrap_or(u16::MAX));
    if columns.iter().any(|column| !column.heading.is_empty()) {
        table.set_header(columns.iter().map(|column| aligned(column.heading, column)));
    }
    for row in rows {
        let cells = row.iter().zip(columns);
        table.add_row(cells.map(|(cell, column)| aligned(&one_line(cell), column)));
    }
    for (index, kind) in columns.iter().enumerate() {
        if let Some(column) = table.column_mut(index) {
            column.set_padding((u16::from(index > 0) * 2, 0));
            if kind.is_whole {
                column.set_constraint(ColumnConstraint::ContentWidth);
            }
        }
    }
    table.lines().map(|line| line.trim_end().to_owned()).collect()
}

/// Names and values, one pair a line; a pair without a value is left out.
pub(crate) fn pairs(pairs: Vec<(&str, Option<String>)>, width: usize) -> String {
    let known = pairs.into_iter().filter_map(|(name, value)| Some(vec![name.to_owned(), value?]));
    lines(&[text(""), text("")], known.collect(), width).join("\n")
}

/// A paragraph.
pub(crate) fn wrapped(paragraph: &str, width: usize) -> String {
    textwrap::fill(&amply_sdk::printable(paragraph), width)
}

/// A name or an id: one that has line breaks could look like more than it is.
pub(crate) fn one_line(text: &str) -> String {
    amply_sdk::printable(text).split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A share of 1 in percent, or a dash.
pub(crate) fn percent(share: Option<f64>) -> String {
    share.map_or_else(dash, |share| format!("{:.1}%", share * 100.0))
}

/// An amount to the cent, or to the last digit that matters where there is more.
pub(crate) fn cents(amount: amply_sdk::Usd) -> String {
    let mut amount = amount.to_decimal().normalize();
    if amount.scale() < 2 {
        amount.rescale(2);
    }
    amount.to_string()
}

/// A number of milliseconds, or a dash.
pub(crate) fn ms(ms: Option<f64>) -> String {
    ms.map_or_else(dash, |ms| format!("{ms} ms"))
}

/// Seconds since 1970 as RFC 3339 in UTC; `None` for a time that is none.
pub(crate) fn utc(seconds: i64) -> Option<String> {
    Some(jiff::Timestamp::from_second(seconds).ok()?.to_string())
}

/// Anything that can be shown, or a dash.
pub(crate) fn or_dash(value: Option<impl ToString>) -> String {
    value.map_or_else(dash, |value| value.to_string())
}

fn dash() -> String {
    "-".to_owned()
}

fn aligned(content: &str, column: &Column) -> Cell {
    let alignment = if column.is_number { CellAlignment::Right } else { CellAlignment::Left };
    Cell::new(content).set_alignment(alignment)
}
