//! Random values of every message, from a seed.

use bytes::Bytes;
#[allow(unused_imports)]
use klamm_wire::{Records, Str};
use uuid::Uuid;

/// A small generator (splitmix64): one seed, one value.
pub struct Sampler(u64);

impl Sampler {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    pub fn bool(&mut self) -> bool {
        self.below(2) == 0
    }

    pub fn null(&mut self) -> bool {
        self.below(3) == 0
    }

    pub fn int64(&mut self) -> i64 {
        match self.below(4) {
            0 => self.below(4) as i64 - 1,
            1 => i64::from_ne_bytes((u64::MAX >> self.below(64)).to_ne_bytes()),
            _ => self.next() as i64,
        }
    }

    pub fn uuid(&mut self) -> Uuid {
        if self.below(4) == 0 { Uuid::nil() } else { Uuid::from_u64_pair(self.next(), self.next()) }
    }

    pub fn string(&mut self) -> Str {
        let length = if self.below(16) == 0 { 120 + self.below(100) } else { self.below(6) };
        let letters = ["a", "Z", "-", "ß", "→", "𝕂"];
        Str::from((0..length).map(|_| letters[self.below(6) as usize]).collect::<String>())
    }

    /// Short, or long enough for a longer varint, or long enough for a segment of its own.
    pub fn bytes(&mut self) -> Bytes {
        let length = match self.below(16) {
            0 => 1000 + self.below(1000),
            1 => 120 + self.below(20),
            _ => self.below(5),
        };
        (0..length).map(|_| self.next() as u8).collect::<Vec<_>>().into()
    }

    pub fn array<T>(&mut self, mut element: impl FnMut(&mut Self) -> T) -> Vec<T> {
        (0..self.below(4)).map(|_| element(self)).collect()
    }

    /// Tags above those that any table uses, ascending.
    pub fn unknown_tagged_fields(&mut self) -> Vec<(u32, Bytes)> {
        if self.below(4) != 0 {
            return Vec::new();
        }
        let first = 100 + self.below(1000) as u32;
        (0..self.below(3) as u32).map(|i| (first + i, self.bytes())).collect()
    }
}

include!(concat!(env!("OUT_DIR"), "/samples.rs"));
