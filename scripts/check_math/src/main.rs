//! Compares every f32 function with CORE-MATH (correctly rounded) over all 2^32 inputs.
//!
//! Of odd and even functions every instruction set is compared with the oracle on the inputs without
//! a sign, and the widest one on those with a sign with the mirrored result.
//!
//! `check_math exp ln ...` prints, for each function, instruction set by instruction set, the number
//! of mismatches, and fails if there is any. `check_math --table exp ...` prints instead the rows
//! that belong in precompile/numerics/src/math/exceptions.rs. No name means every function.
//!
//! `check_math --sampled` compares the f64 functions, powers and atan2 on pseudo-random inputs.
//!
//! Build and run: cd scripts/check_math && cargo run --release -- [--table] [names]

mod sampled;

use std::collections::BTreeMap;
use std::time::Instant;

use assay_numerics::{Engine, Isa, math};

/// Is the number of inputs compared at once.
const BLOCK: u32 = 1 << 16;

/// How the results for x and -x relate; tables list positive inputs only where they do.
#[derive(Clone, Copy, PartialEq)]
enum Symmetry {
    None,
    Odd,
    Even,
}

type Slice = fn(&Engine, &[f32], &mut [f32]);
type Oracle = fn(f32) -> f32;

/// Lists the functions: name, symmetry, slice kernel, scalar form, oracle.
const FUNCTIONS: &[(&str, Symmetry, Slice, Oracle, Oracle)] = &[
    ("exp", Symmetry::None, math::exp_f32, math::exp, core_math::expf),
    ("expm1", Symmetry::None, math::expm1_f32, math::expm1, core_math::expm1f),
    ("ln", Symmetry::None, math::ln_f32, math::ln, core_math::logf),
    ("log1p", Symmetry::None, math::log1p_f32, math::log1p, core_math::log1pf),
    ("sin", Symmetry::Odd, math::sin_f32, math::sin, core_math::sinf),
    ("cos", Symmetry::Even, math::cos_f32, math::cos, core_math::cosf),
    ("tan", Symmetry::Odd, math::tan_f32, math::tan, core_math::tanf),
    ("asin", Symmetry::Odd, math::asin_f32, math::asin, core_math::asinf),
    ("acos", Symmetry::None, math::acos_f32, math::acos, core_math::acosf),
    ("atan", Symmetry::Odd, math::atan_f32, math::atan, core_math::atanf),
    ("sinh", Symmetry::Odd, math::sinh_f32, math::sinh, core_math::sinhf),
    ("cosh", Symmetry::Even, math::cosh_f32, math::cosh, core_math::coshf),
    ("tanh", Symmetry::Odd, math::tanh_f32, math::tanh, core_math::tanhf),
    ("asinh", Symmetry::Odd, math::asinh_f32, math::asinh, core_math::asinhf),
    ("acosh", Symmetry::None, math::acosh_f32, math::acosh, core_math::acoshf),
    ("atanh", Symmetry::Odd, math::atanh_f32, math::atanh, core_math::atanhf),
    ("erf", Symmetry::Odd, math::erf_f32, math::erf, core_math::erff),
];

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.iter().any(|a| a == "--sampled") {
        std::process::exit(i32::from(sampled::run() > 0));
    }
    let table = arguments.iter().any(|a| a == "--table");
    let names: Vec<&String> = arguments.iter().filter(|a| !a.starts_with("--")).collect();
    let unknown = names.iter().find(|n| !FUNCTIONS.iter().any(|f| f.0 == n.as_str()));
    if let Some(name) = unknown {
        eprintln!("check_math: no function {name}");
        std::process::exit(2);
    }
    let all = FUNCTIONS.iter().filter(|_| names.is_empty());
    let named = names.iter().filter_map(|n| FUNCTIONS.iter().find(|f| f.0 == n.as_str()));
    let mut failures = 0;
    for &(name, symmetry, slice, scalar, oracle) in named.chain(all) {
        let start = Instant::now();
        let (mismatches, wrong) = compare(symmetry, slice, scalar, oracle);
        let seconds = start.elapsed().as_secs();
        if table {
            print_table(name, symmetry, &wrong);
            eprintln!("{name}: {mismatches:?}, {seconds} s");
        } else {
            for (form, count) in &mismatches {
                println!("{name} {form}: mismatches={count}");
                failures += count;
            }
            println!("{name}: all 4294967296 inputs, {seconds} s");
            for (input, result) in wrong.iter().take(20) {
                println!("  {name}(0x{input:08x}) = 0x{result:08x}");
            }
        }
    }
    if failures > 0 && !table {
        std::process::exit(1);
    }
}

/// Counts mismatches by form (instruction sets, scalar) and collects the inputs with right results.
fn compare(
    symmetry: Symmetry,
    slice: Slice,
    scalar: Oracle,
    oracle: Oracle,
) -> (BTreeMap<&'static str, u64>, BTreeMap<u32, u32>) {
    let engines: Vec<Engine> = Isa::available()
        .into_iter()
        .map(|isa| Engine::new(isa, 1))
        .collect();
    let mut mismatches: BTreeMap<&'static str, u64> = BTreeMap::new();
    let mut wrong = BTreeMap::new();
    let mut x = vec![0f32; BLOCK as usize];
    let mut want = x.clone();
    let mut got = x.clone();
    let last = if symmetry == Symmetry::None { u32::MAX } else { u32::MAX >> 1 };
    for start in (0..=last).step_by(BLOCK as usize) {
        for (i, (x, want)) in x.iter_mut().zip(&mut want).enumerate() {
            *x = f32::from_bits(start + i as u32);
            *want = canonical(oracle(*x));
        }
        let mut check = |form: &'static str, x: &[f32], got: &[f32], want: &[f32]| {
            let count = mismatches.entry(form).or_default();
            for ((x, got), want) in x.iter().zip(got).zip(want) {
                if got.to_bits() != want.to_bits() {
                    *count += 1;
                    if wrong.len() < 100_000 {
                        wrong.insert(x.to_bits(), want.to_bits());
                    }
                }
            }
        };
        for engine in &engines {
            slice(engine, &x, &mut got);
            check(engine.isa().name(), &x, &got, &want);
        }
        // The scalar form shares the lanes; one input in 61 shows that the frame is right.
        for (i, got) in got.iter_mut().enumerate() {
            *got = if i % 61 == 0 { scalar(x[i]) } else { want[i] };
        }
        check("scalar (1 in 61)", &x, &got, &want);
        if let (true, Some(widest)) = (symmetry != Symmetry::None, engines.last()) {
            for (x, want) in x.iter_mut().zip(&mut want) {
                *x = -*x;
                let mirrored = if symmetry == Symmetry::Odd { -*want } else { *want };
                *want = canonical(mirrored);
            }
            slice(widest, &x, &mut got);
            check("mirrored", &x, &got, &want);
        }
    }
    (mismatches, wrong)
}

/// Replaces any NaN by the canonical one.
fn canonical(x: f32) -> f32 {
    if x.is_nan() { f32::from_bits(0x7fc0_0000) } else { x }
}

/// Prints the rows of the table of exceptions.
fn print_table(name: &str, symmetry: Symmetry, wrong: &BTreeMap<u32, u32>) {
    let folded: BTreeMap<u32, u32> = wrong
        .iter()
        .map(|(&input, &result)| match symmetry {
            Symmetry::None => (input, result),
            Symmetry::Even => (input & 0x7fff_ffff, result),
            Symmetry::Odd => (input & 0x7fff_ffff, result ^ (input & 0x8000_0000)),
        })
        .collect();
    let upper = name.to_uppercase();
    println!("\npub(super) const {upper}: [Exception; {}] = [", folded.len());
    for (input, result) in folded {
        println!("    (0x{input:08x}, 0x{result:08x}),");
    }
    println!("];");
}
