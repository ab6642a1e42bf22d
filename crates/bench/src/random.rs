//! Deterministic random numbers: every store sees the same operations in the same order.

/// A bijection over all 64-bit numbers (the finalizer of SplitMix64).
pub fn mix(x: u64) -> u64 {
    let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// SplitMix64: a few cycles a number, so that it does not show in what is measured.
pub struct Rng(u64);

impl Rng {
    /// A generator whose numbers depend on `seed` only.
    pub fn new(seed: u64) -> Self {
        Self(mix(seed ^ 0x5851_f42d_4c95_7f2d))
    }

    /// The next 64 random bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }

    /// A number below `n`.
    pub fn below(&mut self, n: u64) -> u64 {
        ((u128::from(self.bits()) * u128::from(n)) >> 64) as u64
    }

    /// A number in `[0, 1)`.
    pub fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1u64 << 53) as f64
    }
}

/// YCSB's scrambled Zipfian generator (constant 0.99): the popular keys lie anywhere.
pub struct Zipf {
    items: u64,
    rng: Rng,
    alpha: f64,
    eta: f64,
    half_pow_theta: f64,
}

impl Zipf {
    const THETA: f64 = 0.99;
    /// YCSB draws from ten billion items whatever the number of keys, and folds.
    const DRAWN: f64 = 10_000_000_000.0;
    const ZETA_DRAWN: f64 = 26.469_028_201_783_02;

    /// A generator of numbers below `items`.
    pub fn new(items: u64, seed: u64) -> Self {
        let zeta2 = 1.0 + 0.5f64.powf(Self::THETA);
        let eta =
            (1.0 - (2.0 / Self::DRAWN).powf(1.0 - Self::THETA)) / (1.0 - zeta2 / Self::ZETA_DRAWN);
        Self {
            items,
            rng: Rng::new(seed),
            alpha: 1.0 / (1.0 - Self::THETA),
            eta,
            half_pow_theta: 0.5f64.powf(Self::THETA),
        }
    }

    fn rank(&mut self) -> u64 {
        let u = self.rng.unit();
        let uz = u * Self::ZETA_DRAWN;
        if uz < 1.0 {
            return 0;
        }
        if uz < 1.0 + self.half_pow_theta {
            return 1;
        }
        (Self::DRAWN * (self.eta * u - self.eta + 1.0).powf(self.alpha)) as u64
    }

    /// The next number.
    pub fn draw(&mut self) -> u64 {
        fnv64(self.rank()) % self.items
    }
}

fn fnv64(value: u64) -> u64 {
    value.to_le_bytes().iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

/// A random order of `0..n` that takes no memory: a bijection over the next power of two,
/// walked until it lands below `n`.
pub struct Shuffle {
    n: u64,
    mask: u64,
    shift: u32,
    seed: u64,
}

impl Shuffle {
    /// The order that belongs to `seed`.
    pub fn new(n: u64, seed: u64) -> Self {
        let bits = (u64::BITS - n.max(2).saturating_sub(1).leading_zeros()).max(1);
        let mask = u64::MAX >> (u64::BITS - bits);
        Self { n, mask, shift: (bits / 2).max(1), seed: mix(seed) }
    }

    /// What stands at place `i`.
    pub fn at(&self, i: u64) -> u64 {
        let mut x = i;
        loop {
            x = self.step(x);
            if x < self.n {
                return x;
            }
        }
    }

    fn step(&self, x: u64) -> u64 {
        let mut x = (x ^ self.seed) & self.mask;
        for multiplier in [0x9e37_79b9_7f4a_7c15, 0xbf58_476d_1ce4_e5b9, 0x94d0_49bb_1331_11eb] {
            x = x.wrapping_mul(multiplier) & self.mask;
            x ^= x >> self.shift;
        }
        x
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shuffle_visits_each_number_once() {
        for n in [1, 2, 3, 7, 64, 1000, 4097] {
            let order = Shuffle::new(n, 9);
            let mut seen: Vec<u64> = (0..n).map(|i| order.at(i)).collect();
            seen.sort_unstable();
            assert_eq!(seen, (0..n).collect::<Vec<_>>());
        }
    }

    #[test]
    fn zipf_is_skewed_and_in_range() {
        let mut zipf = Zipf::new(1000, 1);
        let mut counts = vec![0u32; 1000];
        for _ in 0..100_000 {
            counts[zipf.draw() as usize] += 1;
        }
        counts.sort_unstable_by(|a, b| b.cmp(a));
        // The most popular of YCSB's items takes 1 / zeta = 3.8 % of the draws.
        assert!((3_000..6_000).contains(&counts[0]), "{}", counts[0]);
        assert!(counts[0] > 20 * counts[500]);
    }

    #[test]
    fn equal_seeds_give_equal_numbers() {
        let (mut a, mut b) = (Rng::new(5), Rng::new(5));
        assert!((0..100).all(|_| a.below(77) == b.below(77)));
    }
}
