//! Chance for made-up data.

/// Numbers that look like chance, and are the same each time: they follow from the number that it begins with.
#[derive(Debug)]
pub struct Dice(pub u64);

impl Dice {
    /// A number below `sides`, which is not 0.
    pub fn throw(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % sides
    }

    /// A number below `sides`: the lower, the more often.
    pub fn skewed(&mut self, sides: u64) -> u64 {
        let below = self.throw(sides) + 1;
        self.throw(below)
    }

    /// A number below `sides` that is as small as `sides`: the middle is the most frequent.
    pub fn central(&mut self, sides: u16) -> u16 {
        let sum = self.throw(u64::from(sides)) + self.throw(u64::from(sides)) + self.throw(u64::from(sides));
        u16::try_from(sum / 3).unwrap_or(0)
    }
}
