//! Bits that flip on the way between brokers, where TCP's own checksum misses them (F24).

use bytes::{Bytes, BytesMut};
use klamm_records::batches;

use super::Network;
use crate::message::{Message, Served};
use crate::random::Random;

/// Bytes of a batch before those that its checksum vouches for, itself included: offset, length, leader epoch, version.
const UNCHECKED: u64 = 17;

impl Network {
    /// The message as it arrives.
    pub(crate) fn spoil(&self, random: &mut Random, mut message: Message) -> Message {
        if let Message::Fetched { parts, .. } = &mut message
            && random.chance(self.weather.rot)
        {
            let full = |(_, _, served): &&mut (_, _, Served)| matches!(served, Served::Records { bytes, .. } if !bytes.is_empty());
            if let Some((_, _, Served::Records { bytes, .. })) = parts.iter_mut().find(full) {
                *bytes = flipped(random, bytes);
            }
        }
        message
    }
}

/// The batches, one bit of one of them other than it was.
fn flipped(random: &mut Random, bytes: &Bytes) -> Bytes {
    let lengths: Vec<u64> =
        batches(bytes.clone()).map_while(Result::ok).map(|batch| batch.bytes.len() as u64).collect();
    let chosen = random.index(lengths.len());
    let start: u64 = lengths.iter().take(chosen).sum();
    let length = lengths.get(chosen).copied().unwrap_or(0);
    let position = start + UNCHECKED + random.below(length.saturating_sub(UNCHECKED));
    let mut spoilt = BytesMut::from(&bytes[..]);
    if let Some(byte) = spoilt.get_mut(position as usize) {
        *byte ^= 1 << random.below(8);
    }
    spoilt.freeze()
}
