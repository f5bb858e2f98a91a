//! Tests that span crates: other people's test cases and models against ours.
//!
//! `scripts/` writes sets of cases (a model, inputs, expected outputs) into `.cache`; [`cases`] reads
//! them, [`compare`] decides whether two values agree, and [`coverage`] runs a set and makes the
//! table that is committed under `docs/`.

pub mod cases;
pub mod compare;
pub mod coverage;
pub mod parity;
