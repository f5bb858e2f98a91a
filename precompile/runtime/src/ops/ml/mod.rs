//! The operators of ai.onnx.ml: classic models and the encoders around them.
//!
//! `rows` reads their inputs (rank 1 is one row), `labels` writes their classes; the arithmetic is
//! in `assay_numerics::{tree, ml, gemm}`.

mod category;
mod encode;
mod labels;
mod linear;
mod post;
mod rows;
mod scale;
mod select;
mod svm;
mod tree;

#[cfg(test)]
mod tests;

use super::Entry;

/// Names every operator of the domain that is supported. CastMap and DictVectorizer take maps,
/// which no model input may be, so they are refused as unknown.
pub(crate) const TABLE: &[Entry] = &[
    Entry::ml("ArrayFeatureExtractor", 1, select::array_feature_extractor),
    Entry::ml("Binarizer", 1, scale::binarizer),
    Entry::ml("CategoryMapper", 1, category::category_mapper),
    Entry::ml("FeatureVectorizer", 1, select::feature_vectorizer),
    Entry::ml("Imputer", 1, scale::imputer),
    Entry::ml("LabelEncoder", 1, encode::label_encoder),
    Entry::ml("LinearClassifier", 1, linear::classifier),
    Entry::ml("LinearRegressor", 1, linear::regressor),
    Entry::ml("Normalizer", 1, scale::normalizer),
    Entry::ml("OneHotEncoder", 1, category::one_hot_encoder),
    Entry::ml("SVMClassifier", 1, svm::classifier),
    Entry::ml("SVMRegressor", 1, svm::regressor),
    Entry::ml("Scaler", 1, scale::scaler),
    Entry::ml("TreeEnsemble", 5, tree::ensemble),
    Entry::ml("TreeEnsembleClassifier", 1, tree::classifier),
    Entry::ml("TreeEnsembleRegressor", 1, tree::regressor),
    Entry::ml("ZipMap", 1, select::zip_map),
];
