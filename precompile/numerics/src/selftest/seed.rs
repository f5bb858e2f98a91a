//! Seeded inputs and the fold of output bits: both exact integer arithmetic.

/// Makes the same numbers on every machine.
pub(super) struct Seed(u64);

impl Seed {
    pub(super) fn new(seed: u64) -> Self {
        Seed(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(super) fn next(&mut self) -> u64 {
        // xorshift64*, whose high bits are well mixed.
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    pub(super) fn below(&mut self, limit: usize) -> usize {
        ((self.next() >> 32) as usize) % limit
    }

    /// Gives a number in (-1, 1) with 24 random bits, or now and then a special one.
    pub(super) fn f32(&mut self) -> f32 {
        let bits = self.next();
        match bits & 0xff {
            0 => 0.0,
            1 => -0.0,
            2 => f32::from_bits(1),
            3 => 1.0e-30,
            _ => ((bits >> 40) as f32 - 8_388_608.0) / 8_388_608.0,
        }
    }

    pub(super) fn f64(&mut self) -> f64 {
        let bits = self.next();
        if bits & 0xff == 0 {
            -0.0
        } else {
            ((bits >> 11) as f64) / 4_503_599_627_370_496.0 - 1.0
        }
    }

    pub(super) fn f32s(&mut self, count: usize) -> Vec<f32> {
        (0..count).map(|_| self.f32()).collect()
    }

    pub(super) fn f64s(&mut self, count: usize) -> Vec<f64> {
        (0..count).map(|_| self.f64()).collect()
    }

    pub(super) fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| (self.next() >> 56) as u8).collect()
    }

    /// Gives any bit patterns: all exponents, infinities and NaN among them.
    pub(super) fn patterns(&mut self, count: usize) -> Vec<f32> {
        (0..count)
            .map(|_| f32::from_bits((self.next() >> 32) as u32))
            .collect()
    }
}

/// Folds words into 64 bits; every step is a bijection of the state, so no word is lost.
pub(super) struct Digest(u64);

impl Digest {
    pub(super) fn new() -> Self {
        Digest(0x6a09_e667_f3bc_c908)
    }

    pub(super) fn add(&mut self, word: u64) {
        self.0 = (self.0 ^ word)
            .wrapping_mul(0x0000_0100_0000_01b3)
            .rotate_left(23);
    }

    pub(super) fn add_f32(&mut self, values: &[f32]) {
        values
            .iter()
            .for_each(|value| self.add(u64::from(value.to_bits())));
    }

    pub(super) fn add_f64(&mut self, values: &[f64]) {
        values.iter().for_each(|value| self.add(value.to_bits()));
    }

    pub(super) fn add_i32(&mut self, values: &[i32]) {
        values
            .iter()
            .for_each(|value| self.add(u64::from(value.cast_unsigned())));
    }

    pub(super) fn add_i64(&mut self, values: &[i64]) {
        values
            .iter()
            .for_each(|value| self.add(value.cast_unsigned()));
    }

    pub(super) fn add_bytes(&mut self, values: &[u8]) {
        values.iter().for_each(|value| self.add(u64::from(*value)));
    }

    pub(super) fn value(&self) -> u64 {
        self.0 ^ self.0 >> 32
    }
}
