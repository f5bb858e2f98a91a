//! Signal processing in fixed orders: window functions and the discrete Fourier transform.
//!
//! Angles are computed in f64 as tau * i / n (product, then quotient, each rounded), their sines and
//! cosines are correctly rounded there, and narrowed once where the signal is f32 (Spec: N-21).

use core::f64::consts::TAU;

use crate::engine::Engine;
use crate::float::Float;
use crate::fma::Fma;
use crate::math::double;
use crate::norm::FloatNumber;

/// Names a window function by its cosine coefficients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WindowFunction {
    /// 0.5 - 0.5 cos.
    Hann,
    /// 25/46 - 21/46 cos.
    Hamming,
    /// 0.42 - 0.5 cos + 0.08 cos of the double angle.
    Blackman,
}

/// Computes a window of `out.len()` values; a periodic one is a period of a longer signal.
pub fn window(function: WindowFunction, periodic: bool, out: &mut [f64]) {
    let n = if periodic {
        out.len()
    } else {
        out.len().saturating_sub(1)
    };
    for (i, value) in out.iter_mut().enumerate() {
        // A window of one value has no angle: it is the value at zero.
        let angle = if n == 0 {
            0.0
        } else {
            TAU * i as f64 / n as f64
        };
        let (a, b, c) = match function {
            WindowFunction::Hann => (0.5, 0.5, 0.0),
            WindowFunction::Hamming => (25.0 / 46.0, 21.0 / 46.0, 0.0),
            WindowFunction::Blackman => (0.42, 0.5, 0.08),
        };
        *value = (a - b * double::cos(angle)) + c * double::cos(2.0 * angle);
    }
}

/// Holds the cosines and sines of one transform length.
#[derive(Clone, Debug)]
pub struct Twiddles<T> {
    cosines: Vec<T>,
    sines: Vec<T>,
}

impl<T: Float> Twiddles<T> {
    /// Computes the factors of a transform of `n` points; an inverse one turns the other way.
    pub fn new(n: usize, inverse: bool) -> Self {
        let angle = |i: usize| TAU * i as f64 / n as f64;
        let sign = if inverse { 1.0 } else { -1.0 };
        Self {
            cosines: (0..n).map(|i| T::from_f64(double::cos(angle(i)))).collect(),
            sines: (0..n)
                .map(|i| T::from_f64(sign * double::sin(angle(i))))
                .collect(),
        }
    }

    /// Returns the number of points.
    pub fn points(&self) -> usize {
        self.cosines.len()
    }
}

multiversion! {
    fn transform_line<T: FloatNumber>(
        twiddles: &Twiddles<T>, scale: Option<T>, line: &[[T; 2]], out: &mut [[T; 2]],
    ) = transform_body;
}

/// Transforms one line of complex numbers, zero beyond its end, into the first `out.len()` outputs.
///
/// Output k adds `line[i] * w^(i k)` for ascending i: four fused multiply-adds each, the real part
/// re*cos then -im*sin, the imaginary part re*sin then im*cos; then, if given, the product by `scale`.
///
/// # Panics
/// When there are more outputs or inputs than points.
pub fn transform<T: FloatNumber>(
    engine: &Engine,
    twiddles: &Twiddles<T>,
    scale: Option<T>,
    line: &[[T; 2]],
    out: &mut [[T; 2]],
) {
    assert!(out.len() <= twiddles.points() && line.len() <= twiddles.points());
    transform_line(engine, twiddles, scale, line, out);
}

#[inline(always)]
fn transform_body<F: Fma, T: FloatNumber>(
    twiddles: &Twiddles<T>,
    scale: Option<T>,
    line: &[[T; 2]],
    out: &mut [[T; 2]],
) {
    let n = twiddles.points();
    for (k, value) in out.iter_mut().enumerate() {
        let (mut re, mut im) = (T::ZERO, T::ZERO);
        let mut at = 0;
        for [a, b] in line {
            let (cos, sin) = (twiddles.cosines[at], twiddles.sines[at]);
            re = T::fma::<F>(-*b, sin, T::fma::<F>(*a, cos, re));
            im = T::fma::<F>(*b, cos, T::fma::<F>(*a, sin, im));
            at += k;
            if at >= n {
                at -= n;
            }
        }
        if let Some(scale) = scale {
            (re, im) = (re * scale, im * scale);
        }
        *value = [re.canonical(), im.canonical()];
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::elementwise::testing::engines;

    #[test]
    fn windows_have_their_known_values() {
        let mut out = [0.0; 4];
        window(WindowFunction::Hann, true, &mut out);
        assert_eq!(out, [0.0, 0.5 - 0.5 * double::cos(TAU / 4.0), 1.0, out[3]]);
        let mut out = [0.0; 5];
        window(WindowFunction::Blackman, false, &mut out);
        assert!(out[0].abs() < 1e-16 && (out[2] - 1.0).abs() < 1e-15);
        assert!((out[1] - 0.34).abs() < 1e-15);
        let mut one = [9.0];
        window(WindowFunction::Hamming, false, &mut one);
        assert!((one[0] - 4.0 / 46.0).abs() < 1e-16);
    }

    #[test]
    fn a_transform_and_its_inverse_give_the_line_back_on_every_engine() {
        let line: Vec<[f32; 2]> = (0..12)
            .map(|i| [(i * i % 7) as f32, (i % 3) as f32 - 1.0])
            .collect();
        let mut first: Option<Vec<u32>> = None;
        for engine in engines() {
            let mut there = vec![[0.0; 2]; 12];
            transform(&engine, &Twiddles::new(12, false), None, &line, &mut there);
            let mut back = vec![[0.0; 2]; 12];
            transform(
                &engine,
                &Twiddles::new(12, true),
                Some(1.0 / 12.0),
                &there,
                &mut back,
            );
            for (a, b) in line.iter().zip(&back) {
                assert!((a[0] - b[0]).abs() < 1e-5 && (a[1] - b[1]).abs() < 1e-5);
            }
            let bits: Vec<u32> = there.iter().flatten().map(|v| v.to_bits()).collect();
            assert_eq!(*first.get_or_insert(bits.clone()), bits);
        }
    }
}
