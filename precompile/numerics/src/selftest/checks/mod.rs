//! The checks: one for each family of kernels.

mod formats;
mod functions;
mod lines;
mod products;
mod trees;

use super::Check;

pub(super) const CHECKS: &[Check] = &[
    Check {
        rule: "N-2",
        name: "gemm f32",
        run: products::gemm_f32,
    },
    Check {
        rule: "N-2",
        name: "gemm f64",
        run: products::gemm_f64,
    },
    Check {
        rule: "N-3",
        name: "conv f32",
        run: products::convolve,
    },
    Check {
        rule: "N-3",
        name: "conv transpose f32",
        run: products::convolve_transposed,
    },
    Check {
        rule: "N-4",
        name: "reductions f32",
        run: lines::reductions,
    },
    Check {
        rule: "N-5",
        name: "order f32",
        run: lines::order,
    },
    Check {
        rule: "N-6",
        name: "softmax f32",
        run: lines::softmax,
    },
    Check {
        rule: "N-7",
        name: "normalisation f32",
        run: lines::normalisation,
    },
    Check {
        rule: "N-8",
        name: "transcendentals f32",
        run: functions::transcendentals,
    },
    Check {
        rule: "N-8",
        name: "activations f32",
        run: functions::activations,
    },
    Check {
        rule: "N-8",
        name: "transcendentals f64",
        run: functions::transcendentals_f64,
    },
    Check {
        rule: "N-9",
        name: "elementwise f32",
        run: functions::elementwise,
    },
    Check {
        rule: "N-10",
        name: "half precision",
        run: formats::halves,
    },
    Check {
        rule: "N-11",
        name: "casts",
        run: formats::casts,
    },
    Check {
        rule: "N-12",
        name: "gemm int8",
        run: products::gemm_int8,
    },
    Check {
        rule: "N-12",
        name: "quantise",
        run: products::quantise,
    },
    Check {
        rule: "N-13",
        name: "trees f32",
        run: trees::trees,
    },
    Check {
        rule: "N-4",
        name: "pooling f32",
        run: lines::pooling,
    },
    Check {
        rule: "N-15",
        name: "fixed point",
        run: formats::fixed_point,
    },
];
