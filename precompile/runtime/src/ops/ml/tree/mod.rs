//! TreeEnsembleRegressor, TreeEnsembleClassifier and TreeEnsemble.

mod classifier;
mod ensemble;
mod forest;
mod ids;
mod lists;
mod regressor;

#[cfg(test)]
mod tests;

pub(super) use classifier::build as classifier;
pub(super) use ensemble::build as ensemble;
pub(super) use regressor::build as regressor;
