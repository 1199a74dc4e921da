//! What release 3.1.13 adds, and the switches of a sandbox: by topic.

mod audit;
mod billing;
mod call;
mod challenge;
#[path = "../common/mod.rs"]
mod common;
mod contract;
mod control;
mod credentials;
mod discovery;
mod execute;
mod faults;
mod fuzz;
mod openapi;
mod outcome;
mod payer;
mod report;
mod route;
mod signup;
mod switches;
mod x402;
