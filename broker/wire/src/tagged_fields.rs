//! Writes tagged fields (KIP-482): known and unknown ones in one ascending order.

use bytes::Bytes;

use crate::{EncodeError, Encoder};

/// The tagged fields of one struct, being written.
pub struct TaggedFields<'a> {
    /// Unknown fields not written yet.
    unknown: &'a [(u32, Bytes)],
    next_tag: u32,
}

impl Encoder {
    /// Starts the tagged fields of a struct that has `known` fields to write and `unknown` ones to carry on.
    pub fn begin_tagged_fields<'a>(
        &mut self,
        known: usize,
        unknown: &'a [(u32, Bytes)],
    ) -> Result<TaggedFields<'a>, EncodeError> {
        let length = known.saturating_add(unknown.len());
        let count =
            u32::try_from(length).map_err(|_| EncodeError::TooLong { field: "tagged fields", length })?;
        self.unsigned_varint(count);
        Ok(TaggedFields { unknown, next_tag: 0 })
    }

    /// Writes the tagged fields of a struct that has none of its own to write.
    pub fn unknown_tagged_fields(&mut self, unknown: &[(u32, Bytes)]) -> Result<(), EncodeError> {
        self.begin_tagged_fields(0, unknown)?.finish(self)
    }
}

impl TaggedFields<'_> {
    /// Writes a known field, after the unknown ones that come before it.
    pub fn field(
        &mut self,
        encoder: &mut Encoder,
        tag: u32,
        write: impl FnOnce(&mut Encoder) -> Result<(), EncodeError>,
    ) -> Result<(), EncodeError> {
        self.unknown_below(encoder, tag)?;
        self.tag(encoder, tag)?;
        encoder.sized(write)
    }

    /// Writes the unknown fields that are left.
    pub fn finish(mut self, encoder: &mut Encoder) -> Result<(), EncodeError> {
        self.unknown_below(encoder, u32::MAX)
    }

    fn unknown_below(&mut self, encoder: &mut Encoder, tag: u32) -> Result<(), EncodeError> {
        while let Some(((unknown, value), rest)) = self.unknown.split_first().filter(|((t, _), _)| *t < tag) {
            self.tag(encoder, *unknown)?;
            encoder.bytes_after_size(value)?;
            self.unknown = rest;
        }
        Ok(())
    }

    fn tag(&mut self, encoder: &mut Encoder, tag: u32) -> Result<(), EncodeError> {
        if tag < self.next_tag {
            return Err(EncodeError::TagOutOfOrder(tag));
        }
        self.next_tag = tag.saturating_add(1);
        encoder.unsigned_varint(tag);
        Ok(())
    }
}
