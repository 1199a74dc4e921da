//! The outbox in memory: gone with the process.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

use super::StoreError;
use super::outbox::{Added, FAR_MS, Letter, LetterState, Letters, Sender, Tried, Waiting};

/// How many routes are remembered as reported, so that none is reported twice.
const REMEMBERED: usize = 10_000;

#[derive(Default)]
pub(super) struct MemoryOutbox {
    next: u64,
    letters: BTreeMap<u64, Letter>,
    /// By server, principal and route.
    numbers: HashMap<(String, String, String), u64>,
    /// By id.
    ids: HashMap<String, u64>,
    /// The pending ones, by when they are due.
    due: BTreeSet<(i64, u64)>,
    /// The oldest first.
    delivered: VecDeque<u64>,
    /// The oldest first; a number may be one that lives again, or is gone.
    dead: VecDeque<u64>,
}

impl MemoryOutbox {
    fn remove(&mut self, number: u64) {
        if let Some(letter) = self.letters.remove(&number) {
            self.due.remove(&(letter.not_before_ms, number));
            self.numbers.remove(&(letter.base_url, letter.principal, letter.route_id));
            self.ids.remove(&letter.id);
        }
    }

    fn forget_oldest(&mut self) -> bool {
        if let Some(oldest) = self.delivered.pop_front() {
            self.remove(oldest);
            return true;
        }
        while let Some(oldest) = self.dead.pop_front() {
            if self.letters.get(&oldest).is_some_and(|letter| letter.state == LetterState::Dead) {
                self.remove(oldest);
                return true;
            }
        }
        false
    }

    fn number_of(&self, id: &str) -> Option<u64> {
        self.ids.get(id).copied()
    }

    /// Changes a letter and keeps the order of those that are due.
    fn change(&mut self, number: u64, change: impl FnOnce(&mut Letter)) {
        let Some(letter) = self.letters.get_mut(&number) else { return };
        self.due.remove(&(letter.not_before_ms, number));
        let was_delivered = letter.state == LetterState::Delivered;
        change(letter);
        match letter.state {
            LetterState::Pending => {
                self.due.insert((letter.not_before_ms, number));
            }
            LetterState::Delivered if !was_delivered => self.delivered.push_back(number),
            LetterState::Dead => self.dead.push_back(number),
            LetterState::Delivered => {}
        }
    }
}

impl Letters for MemoryOutbox {
    fn add(&mut self, letter: &Letter, limit: u64) -> Result<Added, StoreError> {
        let key = (letter.base_url.clone(), letter.principal.clone(), letter.route_id.clone());
        if let Some(number) = self.numbers.get(&key).copied() {
            if self.letters.get(&number).is_some_and(|known| known.state != LetterState::Dead) {
                return Ok(Added::Known);
            }
            self.remove(number);
        }
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        if self.letters.len() >= limit && !self.forget_oldest() {
            return Ok(Added::Full);
        }
        let number = self.next;
        self.next += 1;
        self.numbers.insert(key, number);
        match letter.state {
            LetterState::Pending => {
                self.due.insert((letter.not_before_ms, number));
            }
            LetterState::Delivered => self.delivered.push_back(number),
            LetterState::Dead => {}
        }
        self.ids.insert(letter.id.clone(), number);
        self.letters.insert(number, letter.clone());
        if self.delivered.len() > REMEMBERED {
            self.forget_oldest();
        }
        Ok(Added::New)
    }

    fn state_of(&mut self, sender: &Sender, route_id: &str) -> Result<Option<LetterState>, StoreError> {
        let key = (sender.base_url.clone(), sender.principal.clone(), route_id.to_owned());
        let number = self.numbers.get(&key);
        Ok(number.and_then(|number| self.letters.get(number)).map(|letter| letter.state))
    }

    fn lease(
        &mut self,
        sender: &Sender,
        now_ms: i64,
        until_ms: i64,
        at_most: usize,
    ) -> Result<Vec<Letter>, StoreError> {
        let mut leased = Vec::new();
        let far = until_ms.saturating_add(FAR_MS);
        let has_passed = |time: i64| time <= now_ms || time > far;
        let due = self.due.range(..=(now_ms, u64::MAX));
        for (_, number) in due.chain(self.due.range((far, u64::MAX)..)) {
            if leased.len() >= at_most {
                break;
            }
            let Some(letter) = self.letters.get_mut(number) else { continue };
            if sender.is_of(letter) && has_passed(letter.leased_until_ms) {
                letter.leased_until_ms = until_ms;
                leased.push(letter.clone());
            }
        }
        Ok(leased)
    }

    fn tried(&mut self, id: &str, tried: &Tried, now_ms: i64) -> Result<(), StoreError> {
        let Some(number) = self.number_of(id) else { return Ok(()) };
        self.change(number, |letter| {
            if letter.state == LetterState::Delivered {
                return;
            }
            letter.attempts += 1;
            letter.leased_until_ms = 0;
            match tried {
                Tried::Delivered => {
                    letter.state = LetterState::Delivered;
                    letter.not_before_ms = now_ms;
                    letter.last_error = None;
                }
                Tried::Dead { reason } => {
                    letter.state = LetterState::Dead;
                    letter.not_before_ms = now_ms;
                    letter.last_error = Some(reason.clone());
                }
                Tried::Later { not_before_ms, reason } => {
                    letter.not_before_ms = *not_before_ms;
                    letter.last_error = Some(reason.clone());
                }
            }
        });
        if self.delivered.len() > REMEMBERED {
            self.forget_oldest();
        }
        Ok(())
    }

    fn give_back(&mut self, ids: &[String]) -> Result<(), StoreError> {
        for id in ids {
            if let Some(letter) = self.ids.get(id).and_then(|number| self.letters.get_mut(number)) {
                letter.leased_until_ms = 0;
            }
        }
        Ok(())
    }

    fn waiting(&mut self, sender: &Sender, now_ms: i64) -> Result<Waiting, StoreError> {
        let mut waiting = Waiting::default();
        for (_, number) in &self.due {
            let Some(letter) = self.letters.get(number).filter(|letter| sender.is_of(letter)) else {
                continue;
            };
            waiting.pending += 1;
            let due = match letter.leased_until_ms > now_ms {
                true => letter.leased_until_ms,
                false => {
                    waiting.idle += 1;
                    letter.not_before_ms
                }
            };
            waiting.next_due_ms = Some(waiting.next_due_ms.map_or(due, |first| first.min(due)));
        }
        Ok(waiting)
    }

    fn has_pending(&mut self, sender: &Sender) -> Result<bool, StoreError> {
        let is_of = |number: &u64| self.letters.get(number).is_some_and(|letter| sender.is_of(letter));
        Ok(self.due.iter().any(|(_, number)| is_of(number)))
    }

    fn hurry(&mut self, sender: &Sender, now_ms: i64) -> Result<(), StoreError> {
        let late: Vec<u64> =
            self.due.iter().filter(|(due, _)| *due > now_ms).map(|(_, number)| *number).collect();
        for number in late {
            self.change(number, |letter| {
                if sender.is_of(letter) {
                    letter.not_before_ms = now_ms;
                }
            });
        }
        Ok(())
    }

    fn list(&mut self, at_most: usize) -> Result<Vec<Letter>, StoreError> {
        let kept = self.letters.values().filter(|letter| letter.state != LetterState::Delivered);
        Ok(kept.take(at_most).cloned().collect())
    }

    fn find(&mut self, id: &str) -> Result<Option<Letter>, StoreError> {
        Ok(self.number_of(id).and_then(|number| self.letters.get(&number)).cloned())
    }

    fn retry(&mut self, id: &str, now_ms: i64) -> Result<bool, StoreError> {
        let Some(number) = self.number_of(id) else { return Ok(false) };
        let mut is_there = false;
        self.change(number, |letter| {
            if letter.state != LetterState::Delivered {
                letter.state = LetterState::Pending;
                letter.not_before_ms = now_ms;
                letter.created_ms = now_ms;
                is_there = true;
            }
        });
        Ok(is_there)
    }

    fn retry_dead(&mut self, now_ms: i64) -> Result<u64, StoreError> {
        let dead = self.letters.values().filter(|letter| letter.state == LetterState::Dead);
        let ids: Vec<String> = dead.map(|letter| letter.id.clone()).collect();
        for id in &ids {
            self.retry(id, now_ms)?;
        }
        Ok(ids.len() as u64)
    }

    fn discard(&mut self, id: &str) -> Result<bool, StoreError> {
        let number = self.number_of(id);
        let is_kept = |number: &u64| {
            self.letters.get(number).is_some_and(|letter| letter.state != LetterState::Delivered)
        };
        match number.filter(is_kept) {
            Some(number) => {
                self.remove(number);
                Ok(true)
            }
            None => Ok(false),
        }
    }

    /// What is remembered is bounded by number instead.
    fn forget(&mut self, _: i64) -> Result<usize, StoreError> {
        Ok(0)
    }
}
