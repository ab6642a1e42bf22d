//! Seeded random numbers (SplitMix64): same seed, same numbers, on every machine.

#[derive(Clone, Debug)]
pub(super) struct Random {
    state: u64,
}

impl Default for Random {
    fn default() -> Random {
        Random::new(0)
    }
}

impl Random {
    pub(super) fn new(seed: u64) -> Random {
        Random { state: seed }
    }

    pub(super) fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number from 0 to `most`, both included.
    pub(super) fn up_to(&mut self, most: usize) -> usize {
        let choices = (most as u64).saturating_add(1);
        (self.next() % choices) as usize
    }

    /// Heads or tails.
    pub(super) fn coin(&mut self) -> bool {
        self.next() >> 63 == 1
    }
}
