//! Linear models, support vectors, scaling and encoders against onnxruntime's answers.

use crate::ops::testing::{Case, ints};
use crate::tensor::{Element, Tensor, Value};

fn floats(shape: &[usize], values: &[f32]) -> Tensor {
    Tensor::from_vec(shape.to_vec(), values.to_vec()).expect("fills the shape")
}

fn texts(values: &[&str]) -> Tensor {
    let values: Vec<String> = values.iter().map(ToString::to_string).collect();
    Tensor::from_vec([values.len()], values).expect("a list")
}

fn ml(op: &str, opset: i64, outputs: usize) -> Case {
    Case::new(op, opset, outputs).ml()
}

fn list<T: Element + std::fmt::Debug>(value: &Value) -> Vec<T> {
    let tensor = value.as_tensor().expect("a tensor");
    tensor.as_slice::<T>().expect("of this type").to_vec()
}

fn close(got: &[f32], want: &[f32]) {
    assert_eq!(got.len(), want.len(), "{got:?}");
    for (got, want) in got.iter().zip(want) {
        assert!(
            (got - want).abs() <= 2e-6 * (1.0 + want.abs()),
            "{got} {want}"
        );
    }
}

fn linear(coefficients: &[f32], intercepts: &[f32], post: &str) -> (Vec<i64>, Vec<f32>) {
    let outputs = ml("LinearClassifier", 1, 2)
        .floats("coefficients", coefficients)
        .floats("intercepts", intercepts)
        .ints("classlabels_ints", &[5, 7])
        .text("post_transform", post)
        .input(floats(&[2, 2], &[-1.0, 0.5, 1.0, 2.0]))
        .run()
        .expect("runs");
    (list(&outputs[0]), list(&outputs[1]))
}

#[test]
fn linear_classifiers_have_one_column_or_one_per_class() {
    let (labels, scores) = linear(&[0.1, 0.2], &[0.05], "NONE");
    assert_eq!(labels, [7, 7]);
    close(&scores, &[0.95, 0.05, 0.45, 0.55]);
    let (_, scores) = linear(&[0.1, 0.2], &[0.05], "LOGISTIC");
    close(
        &scores,
        &[0.487_502_6, 0.512_497_4, 0.365_864_4, 0.634_135_6],
    );
    let (labels, scores) = linear(&[0.1, 0.2, -0.3, 0.4], &[0.05, 0.02], "SOFTMAX");
    assert_eq!(labels, [7, 5]);
    close(
        &scores,
        &[0.384_616_3, 0.615_383_7, 0.507_499_5, 0.492_500_5],
    );
}

#[test]
fn linear_regressors_refuse_another_number_of_features() {
    let case = |columns| {
        ml("LinearRegressor", 1, 1)
            .floats("coefficients", &[1.0, 2.0, 3.0, 4.0])
            .floats("intercepts", &[0.5, -0.5])
            .int("targets", 2)
            .input(floats(&[1, columns], &vec![1.0; columns]))
    };
    assert_eq!(list::<f32>(&Value::Tensor(case(2).tensor())), [3.5, 6.5]);
    let refusal = case(3).refusal();
    assert!(refusal.contains("another number of features"), "{refusal}");
}

fn svm(kernel: &str, classes: usize, probability: bool) -> (Vec<i64>, Vec<f32>) {
    let (per_class, coefficients, rho): (&[i64], &[f32], &[f32]) = if classes == 2 {
        (&[2, 1], &[0.5, 0.7, -1.2], &[0.1])
    } else {
        (
            &[1, 1, 1],
            &[0.5, 0.7, -1.2, 0.3, -0.4, 0.6],
            &[0.1, -0.2, 0.3],
        )
    };
    let mut case = ml("SVMClassifier", 1, 2)
        .text("kernel_type", kernel)
        .floats("kernel_params", &[0.5, 0.1, 3.0])
        .floats("support_vectors", &[0.0, 0.0, 1.0, 1.0, -1.0, 0.5])
        .ints("vectors_per_class", per_class)
        .floats("coefficients", coefficients)
        .floats("rho", rho)
        .ints("classlabels_ints", &[5, 7, 9][..classes])
        .input(floats(&[2, 2], &[-1.0, 0.5, 1.0, 2.0]));
    if probability {
        case = case
            .floats("prob_a", &vec![-1.5; rho.len()])
            .floats("prob_b", &vec![0.1; rho.len()]);
    }
    let outputs = case.run().expect("runs");
    (list(&outputs[0]), list(&outputs[1]))
}

#[test]
fn support_vectors_vote_for_labels() {
    let (labels, scores) = svm("RBF", 2, false);
    assert_eq!(labels, [7, 5]);
    close(
        &scores,
        &[0.748_766_24, -0.748_766_24, -0.512_889_6, 0.512_889_6],
    );
    let (labels, scores) = svm("POLY", 3, false);
    assert_eq!(labels, [5, 9]);
    close(
        &scores,
        &[
            0.098_137_5,
            -0.656_993_87,
            0.529_996_93,
            2.967_700_2,
            -0.200_9,
            -1.337_8,
        ],
    );
    let (labels, scores) = svm("SIGMOID", 2, false);
    assert_eq!(labels, [7, 5]);
    close(
        &scores,
        &[0.698_381_9, -0.698_381_9, -0.675_400_4, 0.675_400_4],
    );
}

#[test]
fn support_vectors_give_coupled_probabilities() {
    let (labels, scores) = svm("RBF", 2, true);
    assert_eq!(labels, [7, 5]);
    close(
        &scores,
        &[0.227_370_34, 0.772_629_7, 0.658_483_6, 0.341_516_38],
    );
    let (labels, scores) = svm("LINEAR", 3, true);
    assert_eq!(labels, [7, 9]);
    close(
        &scores,
        &[
            0.168_568,
            0.646_057_2,
            0.185_374_86,
            0.386_440_8,
            0.065_783_15,
            0.547_776_1,
        ],
    );
}

#[test]
fn support_vectors_refuse_what_does_not_fit() {
    let regressor = |degree: f32, vectors: &[f32]| {
        ml("SVMRegressor", 1, 1)
            .text("kernel_type", "POLY")
            .floats("kernel_params", &[0.5, 0.1, degree])
            .floats("support_vectors", vectors)
            .floats("coefficients", &[0.5, 1.0])
            .floats("rho", &[0.25])
            .int("n_supports", 2)
            .input(floats(&[1, 2], &[1.0, 2.0]))
    };
    let vectors = [0.0, 0.0, 1.0, 1.0];
    let base = 0.5f64 * 3.0 + f64::from(0.1f32);
    let kernel = f64::from((base * base) as f32);
    let first = f64::from((f64::from(0.1f32) * f64::from(0.1f32)) as f32);
    let want = (0.5 * first + kernel + 0.25) as f32;
    let got = list::<f32>(&Value::Tensor(regressor(2.0, &vectors).tensor()));
    assert_eq!(got, [want]);
    let refusal = regressor(1.5, &vectors).refusal();
    assert!(refusal.contains("degree 1.5"), "{refusal}");
    let refusal = regressor(2.0, &vectors[..3]).refusal();
    assert!(
        refusal.contains("support_vectors: 3 entries, 2 needed"),
        "{refusal}"
    );
}

#[test]
fn features_are_scaled_normalised_and_imputed() {
    let x = || floats(&[2, 2], &[3.0, -4.0, 0.0, f32::NAN]);
    let scaler = ml("Scaler", 1, 1)
        .floats("offset", &[1.0, 2.0])
        .floats("scale", &[2.0])
        .input(floats(&[1, 2], &[3.0, 4.0]));
    assert_eq!(list::<f32>(&Value::Tensor(scaler.tensor())), [4.0, 4.0]);
    let norm = ml("Normalizer", 1, 1)
        .text("norm", "L2")
        .input(floats(&[1, 2], &[3.0, -4.0]));
    assert_eq!(list::<f32>(&Value::Tensor(norm.tensor())), [0.6, -0.8]);
    let imputer = ml("Imputer", 1, 1)
        .floats("imputed_value_floats", &[7.0, 8.0])
        .float("replaced_value_float", f32::NAN)
        .input(x());
    assert_eq!(
        list::<f32>(&Value::Tensor(imputer.tensor())),
        [3.0, -4.0, 0.0, 8.0]
    );
    let binarizer = ml("Binarizer", 1, 1).float("threshold", 0.0).input(x());
    assert_eq!(
        list::<f32>(&Value::Tensor(binarizer.tensor())),
        [1.0, 0.0, 0.0, 0.0]
    );
    let refusal = ml("Scaler", 1, 1)
        .floats("offset", &[1.0, 2.0, 3.0])
        .input(x())
        .refusal();
    assert!(refusal.contains("offset: 3 entries, 2 needed"), "{refusal}");
}

#[test]
fn labels_are_encoded_by_every_key_type() {
    let case = |opset| ml("LabelEncoder", opset, 1);
    let words = case(2)
        .texts("keys_strings", &["a", "b"])
        .ints("values_int64s", &[4, 5])
        .int("default_int64", -7)
        .input(texts(&["b", "x", "a"]));
    assert_eq!(list::<i64>(&Value::Tensor(words.tensor())), [5, -7, 4]);
    let numbers = case(2)
        .floats("keys_floats", &[0.0, f32::NAN, 2.5])
        .texts("values_strings", &["zero", "missing", "more"])
        .input(floats(&[4], &[-0.0, f32::NAN, 2.5, 3.0]));
    assert_eq!(
        list::<String>(&Value::Tensor(numbers.tensor())),
        ["zero", "missing", "more", "_Unused"]
    );
    let old = case(1)
        .texts("classes_strings", &["a", "b"])
        .input(ints(&[1, 9, 0]));
    assert_eq!(
        list::<String>(&Value::Tensor(old.tensor())),
        ["b", "_Unused", "a"]
    );
    let refusal = case(2)
        .texts("keys_strings", &["a", "b"])
        .ints("values_int64s", &[4])
        .input(texts(&["b"]))
        .refusal();
    assert!(refusal.contains("values: 1 entries, 2 needed"), "{refusal}");
}

#[test]
fn categories_become_columns_or_other_categories() {
    let hot = |zeros| {
        ml("OneHotEncoder", 1, 1)
            .texts("cats_strings", &["a", "b", "c"])
            .int("zeros", zeros)
            .input(texts(&["c", "x"]))
    };
    let known = hot(1).tensor();
    assert_eq!(known.shape(), [2, 3]);
    assert_eq!(
        list::<f32>(&Value::Tensor(known)),
        [0.0, 0.0, 1.0, 0.0, 0.0, 0.0]
    );
    let refusal = hot(0).refusal();
    assert!(refusal.contains("the element's place: 1"), "{refusal}");
    let mapper = ml("CategoryMapper", 1, 1)
        .texts("cats_strings", &["a", "b"])
        .ints("cats_int64s", &[10, 20])
        .input(texts(&["b", "c"]));
    assert_eq!(list::<i64>(&Value::Tensor(mapper.tensor())), [20, -1]);
}

#[test]
fn columns_are_chosen_joined_and_named() {
    let x = || floats(&[2, 3], &[0.0, 1.0, 2.0, 3.0, 4.0, 5.0]);
    let chosen = |indices: &[i64]| {
        ml("ArrayFeatureExtractor", 1, 1)
            .input(x())
            .input(ints(indices))
    };
    let got = chosen(&[2, 0]).tensor();
    assert_eq!(got.shape(), [2, 2]);
    assert_eq!(list::<f32>(&Value::Tensor(got)), [2.0, 0.0, 5.0, 3.0]);
    let refusal = chosen(&[3]).refusal();
    assert!(refusal.contains("index 3"), "{refusal}");
    let joined = ml("FeatureVectorizer", 1, 1)
        .ints("inputdimensions", &[3, 3])
        .input(x())
        .input(Tensor::from_vec([2, 3], vec![6i64, 7, 8, 9, 10, 11]).expect("two rows"))
        .tensor();
    assert_eq!(
        list::<f32>(&Value::Tensor(joined)),
        [0.0, 1.0, 2.0, 6.0, 7.0, 8.0, 3.0, 4.0, 5.0, 9.0, 10.0, 11.0]
    );
    let named = |labels: &[i64]| {
        ml("ZipMap", 1, 1)
            .ints("classlabels_int64s", labels)
            .input(x())
    };
    assert_eq!(named(&[1, 2, 3]).tensor(), x());
    let refusal = named(&[1, 2]).refusal();
    assert!(
        refusal.contains("classlabels: 2 entries, 3 needed"),
        "{refusal}"
    );
}
