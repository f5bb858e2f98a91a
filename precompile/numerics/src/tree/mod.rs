//! Tree ensembles: many small decision trees, walked together, their leaves added in tree order.
//!
//! An [`EnsembleSpec`] lists nodes as a model file does. [`Ensemble::pack`] checks that they form
//! trees (so that no walk can loop or leave its tree), turns all comparisons into "at most", the
//! missing-value flags into a second copy of the features, and lays the nodes out for speed:
//!
//! - [`complete`]: shallow trees as heaps, no child links, eight trees in step;
//! - [`linked`]: any shape, one link to a pair of neighbouring children, the same eight in step;
//! - the same walk over wider nodes where a model compares for equality or membership.
//!
//! A walk has no branch on a comparison, so its time does not depend on the data, and the latency
//! of one tree hides behind the others.
// Spec: N-13

mod aggregate;
mod complete;
mod ensemble;
mod feature;
mod linked;
mod normal;
mod real;
mod spec;

#[cfg(test)]
mod oracle;
#[cfg(test)]
mod tests;

pub use aggregate::Aggregate;
use aggregate::Leaves;
pub use ensemble::Ensemble;
pub use feature::Feature;
pub use real::Real;
pub use spec::{Branch, Compare, EnsembleSpec, MAX_DEPTH, Node, SpecError, Weight};
