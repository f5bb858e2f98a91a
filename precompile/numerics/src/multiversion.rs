//! Compiles one kernel body once for every instruction set.

/// Declares functions that run a generic body on the engine's instruction set.
///
/// ```ignore
/// multiversion! {
///     /// Adds two slices.
///     pub(crate) fn add(x: &[f32], y: &[f32], out: &mut [f32]) = add_body;
/// }
/// #[inline(always)]
/// fn add_body<F: Fma>(x: &[f32], y: &[f32], out: &mut [f32]) { ... }
/// ```
/// makes `add(engine: &Engine, x, y, out)`. The body's first type parameter is the [`Fma`] to use
/// for every fused multiply-add; further ones may follow: `fn f<T: Float>(..) = f_body;` calls
/// `f_body::<F, T>`. The body and everything hot it calls must be `#[inline(always)]`, and it
/// should use loops rather than closures given to non-inlined functions: what is not inlined is
/// compiled for the portable machine (right, but slow).
///
/// [`Fma`]: crate::fma::Fma
macro_rules! multiversion {
    ($(
        $(#[$meta:meta])*
        $vis:vis fn $name:ident $(<$($g:ident : $bound:path),+>)?
            ($($arg:ident : $ty:ty),* $(,)?) $(-> $ret:ty)? = $body:ident;
    )+) => {$(
        $(#[$meta])*
        #[allow(unsafe_code)]
        #[inline]
        $vis fn $name $(<$($g: $bound),+>)? (
            engine: &$crate::engine::Engine, $($arg: $ty),*
        ) $(-> $ret)? {
            #[cfg(target_arch = "x86_64")]
            {
                #[allow(clippy::too_many_arguments)]
                #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
                #[target_feature(enable = "avx2,fma,f16c,bmi1,bmi2,lzcnt,popcnt")]
                fn avx512 $(<$($g: $bound),+>)? ($($arg: $ty),*) $(-> $ret)? {
                    $body::<$crate::fma::HardFma $($(, $g)+)?>($($arg),*)
                }
                #[allow(clippy::too_many_arguments)]
                #[target_feature(enable = "avx2,fma,f16c,bmi1,bmi2,lzcnt,popcnt")]
                fn avx2 $(<$($g: $bound),+>)? ($($arg: $ty),*) $(-> $ret)? {
                    $body::<$crate::fma::HardFma $($(, $g)+)?>($($arg),*)
                }
                match engine.isa() {
                    // SAFETY: an engine holds only an instruction set that was detected here.
                    $crate::isa::Isa::Avx512 => return unsafe {
                        avx512 $(::<$($g),+>)? ($($arg),*)
                    },
                    // SAFETY: as above.
                    $crate::isa::Isa::Avx2 => return unsafe {
                        avx2 $(::<$($g),+>)? ($($arg),*)
                    },
                    $crate::isa::Isa::Portable => {}
                }
            }
            let _ = engine;
            $body::<$crate::fma::PortableFma $($(, $g)+)?>($($arg),*)
        }
    )+};
}

#[cfg(test)]
mod tests {
    use crate::engine::Engine;
    use crate::fma::Fma;
    use crate::isa::Isa;

    multiversion! {
        fn axpy(a: f32, x: &[f32], y: &mut [f32]) = axpy_body;
        fn generic<T: Copy>(x: &[T]) -> Option<T> = generic_body;
    }

    #[inline(always)]
    fn axpy_body<F: Fma>(a: f32, x: &[f32], y: &mut [f32]) {
        for (y, x) in y.iter_mut().zip(x) {
            *y = F::fma32(a, *x, *y);
        }
    }

    #[inline(always)]
    fn generic_body<F: Fma, T: Copy>(x: &[T]) -> Option<T> {
        x.first().copied()
    }

    #[test]
    fn every_instance_gives_the_same_bits() {
        let x: Vec<f32> = (0..97).map(|i| 1.0 + i as f32 * 1e-3).collect();
        let run = |isa| {
            let engine = Engine::new(isa, 1);
            let mut y: Vec<f32> = (0..97).map(|i| i as f32 / 7.0).collect();
            axpy(&engine, 1.1, &x, &mut y);
            assert_eq!(generic(&engine, &x), Some(1.0));
            y.iter().map(|v| v.to_bits()).collect::<Vec<_>>()
        };
        let want = run(Isa::Portable);
        for isa in Isa::available() {
            assert_eq!(run(isa), want, "{}", isa.name());
        }
    }
}
