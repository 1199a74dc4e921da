//! How many vectors a task speaks of.
//!
//! Four rules, tried in order over the whole task; the first that matches anywhere wins, and within it the leftmost match.
//! Scanned by hand, each rule in one pass: the server's patterns are few, and a task of 8,000 digits must not take long.

const WHEN_NOTHING_IS_SAID: f64 = 100_000.0;
const AT_LEAST: f64 = 1_000.0;

/// The number of vectors, at least 1,000. A double, as the server's: it may lose digits, or be infinite.
pub(crate) fn count(task: &str) -> f64 {
    let lowered: Vec<char> = task.to_lowercase().chars().collect();
    let text = Text(&lowered);
    text.thousands()
        .or_else(|| text.millions())
        .or_else(|| text.counted())
        .or_else(|| text.stored())
        .unwrap_or(WHEN_NOTHING_IS_SAID)
        .max(AT_LEAST)
}

/// A task in lower case.
struct Text<'a>(&'a [char]);

/// Digits and the groups of a comma and three digits after them.
struct Grouped {
    /// One past the last digit of the last whole group.
    end: usize,
    /// How many groups.
    groups: usize,
    /// A comma and four or more digits follow, which is no group.
    then_a_longer_group: bool,
}

impl Text<'_> {
    /// `20k`, `1,200 K`.
    fn thousands(&self) -> Option<f64> {
        self.with_unit(1_000.0, |at| self.word_ends("k", at))
    }

    /// `5M`, `3 million`.
    fn millions(&self) -> Option<f64> {
        self.with_unit(1_000_000.0, |at| self.word_ends("m", at) || self.word_ends("million", at))
    }

    /// `5000 vectors`, `12345 embeddings`, `2000 points`: four digits or more, no comma.
    fn counted(&self) -> Option<f64> {
        let mut at = 0;
        while let Some(start) = self.next_digit(at) {
            let end = self.digits_end(start);
            let word_before = start.checked_sub(1).and_then(|before| self.at(before)).is_some_and(is_word);
            let noun = self.blanks_end(end);
            let counts_vectors = ["vec", "embedding", "point"].iter().any(|word| self.has(word, noun));
            if end - start >= 4 && !word_before && counts_vectors {
                return Some(self.value(start, end));
            }
            at = end;
        }
        None
    }

    /// `store 20,000`, `restore 2000`.
    fn stored(&self) -> Option<f64> {
        (0..self.0.len()).filter(|&at| self.has("store", at)).find_map(|at| {
            let verb_end = at + "store".len();
            let start = self.blanks_end(verb_end);
            let is_number = start > verb_end && self.at(start).is_some_and(|c| c.is_ascii_digit());
            let grouped = is_number.then(|| self.grouped(start))?;
            // What is no whole group begins with a comma, and a comma ends the number cleanly.
            if grouped.then_a_longer_group || self.ends_here(grouped.end) {
                return Some(self.value(start, grouped.end));
            }
            // The longest reading runs into a word; one group less ends at a comma.
            (grouped.groups > 0).then(|| self.value(start, grouped.end - 4))
        })
    }

    /// The leftmost grouped number that is followed, after blanks or none, by a unit.
    fn with_unit(&self, factor: f64, is_unit: impl Fn(usize) -> bool) -> Option<f64> {
        let mut at = 0;
        while let Some(start) = self.next_digit(at) {
            let grouped = self.grouped(start);
            if !grouped.then_a_longer_group && is_unit(self.blanks_end(grouped.end)) {
                return Some(self.value(start, grouped.end) * factor);
            }
            // A number that began further right, inside this one, would end at the same place and fail alike.
            at = grouped.end;
        }
        None
    }

    fn grouped(&self, start: usize) -> Grouped {
        let is_digit = |at| self.at(at).is_some_and(|c: char| c.is_ascii_digit());
        let mut grouped = Grouped { end: self.digits_end(start), groups: 0, then_a_longer_group: false };
        while self.at(grouped.end) == Some(',') && (1..=3).all(|digit| is_digit(grouped.end + digit)) {
            if is_digit(grouped.end + 4) {
                grouped.then_a_longer_group = true;
                break;
            }
            grouped.end += 4;
            grouped.groups += 1;
        }
        grouped
    }

    fn value(&self, start: usize, end: usize) -> f64 {
        let digits: String = self.0.iter().take(end).skip(start).filter(|c| c.is_ascii_digit()).collect();
        digits.parse().unwrap_or(0.0)
    }

    fn at(&self, at: usize) -> Option<char> {
        self.0.get(at).copied()
    }

    fn has(&self, word: &str, at: usize) -> bool {
        word.chars().enumerate().all(|(i, c)| self.at(at + i) == Some(c))
    }

    fn word_ends(&self, word: &str, at: usize) -> bool {
        self.has(word, at) && self.ends_here(at + word.len())
    }

    fn ends_here(&self, at: usize) -> bool {
        !self.at(at).is_some_and(is_word)
    }

    fn next_digit(&self, from: usize) -> Option<usize> {
        self.0.iter().skip(from).position(char::is_ascii_digit).map(|offset| from + offset)
    }

    fn digits_end(&self, from: usize) -> usize {
        from + self.0.iter().skip(from).take_while(|c| c.is_ascii_digit()).count()
    }

    fn blanks_end(&self, from: usize) -> usize {
        from + self.0.iter().skip(from).take_while(|c| crate::js::is_blank(**c)).count()
    }
}

/// ASCII only: `é`, `ß`, `数` end a word.
fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

#[cfg(test)]
mod tests;
