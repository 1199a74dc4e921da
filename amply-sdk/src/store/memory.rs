//! Rows in memory: gone with the process.

use super::rows::{Block, Query, Rows, StoreError};
use crate::payment::{PaidAnswer, Payment, Rail};

#[derive(Default)]
pub(super) struct Memory {
    payments: Vec<Payment>,
    /// By payment, with the time from which they are kept.
    answers: Vec<(String, i64, PaidAnswer)>,
}

impl Rows for Memory {
    fn select(&mut self, query: Query<'_>) -> Result<Vec<Payment>, StoreError> {
        let payments = self.payments.iter();
        let is_asked_for = |payment: &&Payment| match query {
            Query::All => true,
            Query::Id(id) => payment.id == id,
            Query::Open => payment.rail == Rail::Wallet && payment.is_open(),
            Query::Day(day) => payment.counts_on(day),
            Query::EndedSince(ms) => payment.ended_ms.is_some_and(|ended| ended >= ms),
            Query::LedBy(call_key) => payment.was_led_by(call_key),
            Query::FirstSettled(at) => at.has(payment) && payment.is_settled(),
            Query::LatestEnded(at, _) => at.has(payment) && payment.has_left_and_ended(),
        };
        Ok(match query {
            Query::FirstSettled(_) => payments.filter(is_asked_for).take(1).cloned().collect(),
            Query::LatestEnded(_, most) => {
                payments.rev().filter(is_asked_for).take(most as usize).cloned().collect()
            }
            _ => payments.filter(is_asked_for).cloned().collect(),
        })
    }

    fn insert(&mut self, payment: &Payment) -> Result<(), StoreError> {
        self.payments.push(payment.clone());
        Ok(())
    }

    fn update(&mut self, payment: &Payment) -> Result<(), StoreError> {
        match self.payments.iter_mut().find(|known| known.id == payment.id) {
            Some(known) => {
                *known = payment.clone();
                Ok(())
            }
            None => Err(format!("the payment {} is gone from the ledger", payment.id)),
        }
    }

    fn keep_answer(
        &mut self,
        id: &str,
        answer: &PaidAnswer,
        now_ms: i64,
        older_than_ms: i64,
    ) -> Result<(), StoreError> {
        self.answers.retain(|(of, kept_ms, _)| of != id && *kept_ms >= older_than_ms);
        self.answers.push((id.to_owned(), now_ms, answer.clone()));
        Ok(())
    }

    fn answer(&mut self, id: &str, older_than_ms: i64) -> Result<Option<PaidAnswer>, StoreError> {
        let kept = self.answers.iter().find(|(of, kept_ms, _)| of == id && *kept_ms >= older_than_ms);
        Ok(kept.map(|(_, _, answer)| answer.clone()))
    }

    fn newest_day(&mut self) -> Result<Option<i64>, StoreError> {
        Ok(self.payments.iter().map(|payment| payment.day).max())
    }

    fn block(&mut self) -> Result<Option<Block>, StoreError> {
        Ok(None)
    }

    fn unblock(&mut self) -> Result<(), StoreError> {
        Ok(())
    }
}
