//! Rows in memory: gone with the process.

use super::rows::{Block, Query, Rows, StoreError};
use crate::payment::Payment;

#[derive(Default)]
pub(super) struct Memory {
    payments: Vec<Payment>,
}

impl Rows for Memory {
    fn select(&mut self, query: Query<'_>) -> Result<Vec<Payment>, StoreError> {
        let is_asked_for = |payment: &&Payment| match query {
            Query::All => true,
            Query::Id(id) => payment.id == id,
            Query::Open => payment.is_open(),
            Query::Day(day) => payment.counts_on(day),
            Query::LedBy(call_key) => payment.was_led_by(call_key),
        };
        Ok(self.payments.iter().filter(is_asked_for).cloned().collect())
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
