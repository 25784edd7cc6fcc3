//! Zigzag varints as in Protocol Buffers, read with every bound checked.

use bytes::{BufMut, BytesMut};

use crate::BatchError;

const MALFORMED: BatchError = BatchError::InvalidRecord("malformed varint");

/// A cursor over the bytes of the records of one batch.
pub(crate) struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    /// A cursor that stands at `at` of `bytes`.
    pub(crate) fn new(bytes: &'a [u8], at: usize) -> Self {
        Self { bytes, at }
    }

    /// Where the cursor stands.
    pub(crate) fn position(&self) -> usize {
        self.at
    }

    /// Bytes left.
    pub(crate) fn remaining(&self) -> usize {
        self.bytes.len().saturating_sub(self.at)
    }

    pub(crate) fn byte(&mut self) -> Result<u8, BatchError> {
        let byte = *self.bytes.get(self.at).ok_or(BatchError::InvalidRecord("record ends early"))?;
        self.at += 1;
        Ok(byte)
    }

    /// Steps over `length` bytes and returns where they lie.
    pub(crate) fn skip(&mut self, length: usize) -> Result<std::ops::Range<usize>, BatchError> {
        if length > self.remaining() {
            return Err(BatchError::InvalidRecord("field reaches past the end"));
        }
        let start = self.at;
        self.at += length;
        Ok(start..self.at)
    }

    /// A signed varint of at most 32 bits.
    pub(crate) fn varint(&mut self) -> Result<i32, BatchError> {
        i32::try_from(self.varlong()?).map_err(|_| MALFORMED)
    }

    /// A signed varint of at most 64 bits.
    pub(crate) fn varlong(&mut self) -> Result<i64, BatchError> {
        let mut raw = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                return Err(MALFORMED);
            }
            raw |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok((raw >> 1) as i64 ^ -((raw & 1) as i64));
            }
        }
        Err(MALFORMED)
    }

    /// A length prefix and the range of the bytes that it announces; `None` for the null length −1.
    pub(crate) fn nullable(&mut self) -> Result<Option<std::ops::Range<usize>>, BatchError> {
        match self.varint()? {
            -1 => Ok(None),
            length => {
                let length =
                    usize::try_from(length).map_err(|_| BatchError::InvalidRecord("negative length"))?;
                self.skip(length).map(Some)
            }
        }
    }
}

/// Appends `value` as a zigzag varint.
pub(crate) fn put_varlong(out: &mut BytesMut, value: i64) {
    let mut raw = (value << 1 ^ value >> 63) as u64;
    while raw >= 0x80 {
        out.put_u8(raw as u8 | 0x80);
        raw >>= 7;
    }
    out.put_u8(raw as u8);
}

/// Bytes that `value` takes as a zigzag varint.
pub(crate) fn varlong_size(value: i64) -> usize {
    let raw = (value << 1 ^ value >> 63) as u64;
    (64 - (raw | 1).leading_zeros() as usize).div_ceil(7)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]
        #[test]
        fn every_integer_survives_the_round_trip(value: i64, shift in 0u32..64) {
            let value = value >> shift;
            let mut out = BytesMut::new();
            put_varlong(&mut out, value);
            prop_assert_eq!(out.len(), varlong_size(value));
            let mut cursor = Cursor::new(&out, 0);
            prop_assert_eq!(cursor.varlong(), Ok(value));
            prop_assert_eq!(cursor.remaining(), 0);
        }
    }

    #[test]
    fn overlong_varints_are_refused() {
        assert_eq!(Cursor::new(&[0xff; 11], 0).varlong(), Err(MALFORMED));
        assert_eq!(Cursor::new(&[0xff, 0xff, 0xff, 0xff, 0xff, 0x01], 0).varint(), Err(MALFORMED));
        assert!(Cursor::new(&[0x80], 0).varint().is_err());
    }
}
