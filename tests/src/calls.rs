//! Calls that must fail, and what is asked of their errors.

use std::fmt::Debug;
use std::time::Duration;

use amply_sdk::{Client, ClientBuilder, Error};

/// A client whose settings are right.
pub fn built(builder: ClientBuilder) -> Client {
    builder.build().unwrap()
}

/// The error of a call that must not succeed.
pub fn failure<T: Debug>(answered: Result<T, Error>) -> Error {
    answered.unwrap_err()
}

/// How many requests a failed call took.
pub fn attempts(error: &Error) -> usize {
    error.meta().unwrap().attempts().try_into().unwrap()
}

/// How long a failed call took.
pub fn elapsed(error: &Error) -> Duration {
    error.meta().unwrap().elapsed()
}
