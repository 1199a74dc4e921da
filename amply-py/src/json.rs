//! JSON text to Python objects, in one pass and with nothing in between.
//!
//! The result is what `json.loads` would give: integers of any size, `1e400` as `inf`, the last of two equal names. Names are
//! made once and kept, since they are the same in every answer.

use std::sync::Mutex;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyFloat, PyInt, PyList, PyString};

/// Deeper than any answer that the SDK lets through.
const MAX_DEPTH: usize = 200;
/// How many names are kept, a power of two; one that falls on the place of another replaces it.
const NAMES: usize = 1 << NAMES_LOG2;
const NAMES_LOG2: u32 = 11;
/// A longer one is no field of the API.
const LONGEST_NAME: usize = 48;
/// As many digits of an integer as Python always takes.
const LONGEST_INTEGER: usize = 640;

/// Reads a JSON text.
pub(crate) fn parse<'py>(py: Python<'py>, text: &str) -> PyResult<Bound<'py, PyAny>> {
    read(py, text, |reader| reader.value(0))
}

/// Reads a JSON object into a dict that is there, and may be of a class of its own.
pub(crate) fn parse_into(text: &str, object: &Bound<'_, PyDict>) -> PyResult<()> {
    read(object.py(), text, |reader| {
        reader.skip_blanks();
        match reader.take(b'{') {
            true => reader.fields(object, 0),
            false => Err(reader.unexpected()),
        }
    })
}

fn read<'py, T>(
    py: Python<'py>,
    text: &str,
    take: impl FnOnce(&mut Reader<'_, 'py>) -> PyResult<T>,
) -> PyResult<T> {
    // Making objects may run a finalizer, and that anything: then it does without the names.
    let mut names = NAMES_KEPT.try_lock().ok();
    let mut reader = Reader { py, text, at: 0, names: names.as_deref_mut() };
    let value = take(&mut reader)?;
    reader.skip_blanks();
    if reader.at < text.len() {
        return Err(reader.unexpected());
    }
    Ok(value)
}

/// The powers of ten that a double holds to the digit, as far as they are needed.
const POWERS: [f64; 16] =
    [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15];

static NAMES_KEPT: Mutex<Names> = Mutex::new(Names(Vec::new()));

struct Names(Vec<Option<(Box<str>, Py<PyString>)>>);

impl Names {
    fn get<'py>(&mut self, py: Python<'py>, name: &str) -> Bound<'py, PyString> {
        if name.len() > LONGEST_NAME {
            return PyString::new(py, name);
        }
        if self.0.is_empty() {
            self.0.resize_with(NAMES, || None);
        }
        let Some(place) = self.0.get_mut(place_of(name)) else {
            return PyString::new(py, name);
        };
        match place {
            Some((known, kept)) if **known == *name => kept.bind(py).clone(),
            _ => {
                // Not interned: what Python interns it keeps for ever.
                let made = PyString::new(py, name);
                *place = Some((name.into(), made.clone().unbind()));
                made
            }
        }
    }
}

/// The place of a name, by both its ends: those of the API differ there, and a name takes a few steps however long it is.
fn place_of(name: &str) -> usize {
    let bytes = name.as_bytes();
    let ends = match (bytes.first_chunk(), bytes.last_chunk()) {
        (Some(head), Some(tail)) => u64::from_le_bytes(*head) ^ u64::from_le_bytes(*tail).rotate_left(29),
        _ => bytes.iter().fold(0, |ends, byte| ends << 8 | u64::from(*byte)),
    };
    // Fibonacci hashing: the upper bits are the well mixed ones.
    let mixed = (ends ^ name.len() as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed >> (u64::BITS - NAMES_LOG2)) as usize
}

struct Reader<'a, 'py> {
    py: Python<'py>,
    text: &'a str,
    at: usize,
    names: Option<&'a mut Names>,
}

/// A text within its quotes.
enum Quoted<'a> {
    Plain(&'a str),
    /// With its quotes, as it was written.
    Escaped(&'a str),
}

impl<'a, 'py> Reader<'a, 'py> {
    fn value(&mut self, depth: usize) -> PyResult<Bound<'py, PyAny>> {
        if depth > MAX_DEPTH {
            return Err(PyValueError::new_err("the JSON is nested too deep"));
        }
        self.skip_blanks();
        match self.peek() {
            Some(b'{') => {
                self.at += 1;
                let object = PyDict::new(self.py);
                self.fields(&object, depth)?;
                Ok(object.into_any())
            }
            Some(b'[') => self.list(depth),
            Some(b'"') => match self.quoted()? {
                Quoted::Plain(text) => Ok(PyString::new(self.py, text).into_any()),
                Quoted::Escaped(text) => Ok(unescape(self.py, text)?.into_any()),
            },
            Some(b't') => self.word("true").map(|()| PyBool::new(self.py, true).to_owned().into_any()),
            Some(b'f') => self.word("false").map(|()| PyBool::new(self.py, false).to_owned().into_any()),
            Some(b'n') => self.word("null").map(|()| self.py.None().into_bound(self.py)),
            Some(b'-' | b'0'..=b'9') => self.number(),
            _ => Err(self.unexpected()),
        }
    }

    /// Reads an object from behind its brace.
    fn fields(&mut self, object: &Bound<'py, PyDict>, depth: usize) -> PyResult<()> {
        self.skip_blanks();
        if self.take(b'}') {
            return Ok(());
        }
        loop {
            self.skip_blanks();
            if self.peek() != Some(b'"') {
                return Err(self.unexpected());
            }
            let name = match (self.quoted()?, self.names.as_deref_mut()) {
                (Quoted::Plain(name), Some(names)) => names.get(self.py, name),
                (Quoted::Plain(name), None) => PyString::new(self.py, name),
                (Quoted::Escaped(name), _) => unescape(self.py, name)?,
            };
            self.skip_blanks();
            if !self.take(b':') {
                return Err(self.unexpected());
            }
            let value = self.value(depth + 1)?;
            object.set_item(name, value)?;
            self.skip_blanks();
            if self.take(b'}') {
                return Ok(());
            }
            if !self.take(b',') {
                return Err(self.unexpected());
            }
        }
    }

    fn list(&mut self, depth: usize) -> PyResult<Bound<'py, PyAny>> {
        let list = PyList::empty(self.py);
        self.at += 1;
        self.skip_blanks();
        if self.take(b']') {
            return Ok(list.into_any());
        }
        loop {
            list.append(self.value(depth + 1)?)?;
            self.skip_blanks();
            if self.take(b']') {
                return Ok(list.into_any());
            }
            if !self.take(b',') {
                return Err(self.unexpected());
            }
        }
    }

    fn number(&mut self) -> PyResult<Bound<'py, PyAny>> {
        let start = self.at;
        let is_negative = self.take(b'-');
        let (mut digits, mut number) = self.digits(0);
        if !matches!(self.peek(), Some(b'.' | b'e' | b'E')) {
            // As many digits as always fit.
            if let (Ok(number), 1..=18) = (i64::try_from(number), digits) {
                return Ok(PyInt::new(self.py, if is_negative { -number } else { number }).into_any());
            }
            // Larger than that, or no number; Python tells.
            let text = self.text.get(start..self.at).unwrap_or_default();
            return match self.py.get_type::<PyInt>().call1((text,)) {
                // More digits than Python takes for an integer: as a number of JSON it is out of range, as `1e400` is.
                Err(_) if digits > LONGEST_INTEGER => match text.parse::<f64>() {
                    Ok(number) => Ok(PyFloat::new(self.py, number).into_any()),
                    Err(_) => Err(self.unexpected()),
                },
                read => read,
            };
        }
        let mut after = 0;
        if digits > 0 && self.take(b'.') {
            (after, number) = self.digits(number);
            digits += after;
        }
        let is_plain = after > 0 && !matches!(self.peek(), Some(b'e' | b'E' | b'+' | b'-' | b'.'));
        if let (true, true, Some(power)) = (is_plain, digits <= 15, POWERS.get(after)) {
            // Both are doubles to the digit, and so their quotient is the nearest one to the number.
            let number = number as f64 / power;
            return Ok(PyFloat::new(self.py, if is_negative { -number } else { number }).into_any());
        }
        while let Some(b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E') = self.peek() {
            self.at += 1;
        }
        match self.text.get(start..self.at).unwrap_or_default().parse::<f64>() {
            Ok(number) => Ok(PyFloat::new(self.py, number).into_any()),
            Err(_) => Err(self.unexpected()),
        }
    }

    /// Reads digits behind those of a number: how many, and the number with them. It wraps around when they are too many.
    fn digits(&mut self, mut number: u64) -> (usize, u64) {
        let rest = self.text.as_bytes().get(self.at..).unwrap_or_default();
        let mut count = 0;
        for byte in rest {
            let digit = byte.wrapping_sub(b'0');
            if digit > 9 {
                break;
            }
            number = number.wrapping_mul(10).wrapping_add(u64::from(digit));
            count += 1;
        }
        self.at += count;
        (count, number)
    }

    fn word(&mut self, word: &str) -> PyResult<()> {
        match self.text.get(self.at..).is_some_and(|rest| rest.starts_with(word)) {
            true => {
                self.at += word.len();
                Ok(())
            }
            false => Err(self.unexpected()),
        }
    }

    /// Reads a text from its opening quote to behind its closing one.
    fn quoted(&mut self) -> PyResult<Quoted<'a>> {
        let (text, start) = (self.text, self.at);
        let mut has_escapes = false;
        self.at += 1;
        loop {
            let rest = text.as_bytes().get(self.at..).unwrap_or_default();
            let Some(plain) = plain(rest) else {
                self.at = text.len();
                return Err(self.unexpected());
            };
            self.at += plain;
            if self.take(b'"') {
                break;
            }
            has_escapes = true;
            self.at += 2;
        }
        Ok(match has_escapes {
            true => Quoted::Escaped(text.get(start..self.at).unwrap_or_default()),
            false => Quoted::Plain(text.get(start + 1..self.at - 1).unwrap_or_default()),
        })
    }

    fn skip_blanks(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\n' | b'\r' | b'\t')) {
            self.at += 1;
        }
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn take(&mut self, byte: u8) -> bool {
        let is_next = self.peek() == Some(byte);
        self.at += usize::from(is_next);
        is_next
    }

    fn unexpected(&self) -> PyErr {
        PyValueError::new_err(format!("the JSON cannot be read at byte {}", self.at))
    }
}

/// How many bytes of a text come before a quote or a backslash. Most texts are short, so that the first ones are looked at
/// eight at a time, without a call.
#[inline]
fn plain(bytes: &[u8]) -> Option<usize> {
    const ONES: u64 = 0x0101_0101_0101_0101;
    let mut at = 0;
    while at < 32
        && let Some(eight) = bytes.get(at..).and_then(<[u8]>::first_chunk)
    {
        let word = u64::from_le_bytes(*eight);
        // The upper bit of each byte that is this one. A borrow marks a byte too many only behind one that is marked
        // rightly, and the first one counts.
        let same = |byte: u8| {
            let word = word ^ (ONES * u64::from(byte));
            word.wrapping_sub(ONES) & !word
        };
        let marked = (same(b'"') | same(b'\\')) & (ONES << 7);
        if marked != 0 {
            return Some(at + marked.trailing_zeros() as usize / 8);
        }
        at += 8;
    }
    Some(at + memchr::memchr2(b'"', b'\\', bytes.get(at..).unwrap_or_default())?)
}

/// A text with escapes, given with its quotes.
fn unescape<'py>(py: Python<'py>, quoted: &str) -> PyResult<Bound<'py, PyString>> {
    if let Ok(text) = serde_json::from_str::<String>(quoted) {
        return Ok(PyString::new(py, &text));
    }
    // Half a surrogate pair, which JavaScript writes: a text of Python can hold it, one of Rust cannot.
    Ok(py.import("json")?.call_method1("loads", (quoted,))?.cast_into()?)
}
