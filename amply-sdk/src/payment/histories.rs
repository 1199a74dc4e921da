//! Histories of payments, at random.
