//! Reads Kafka's types from a frame that nobody has vouched for.
//!
//! Every length is held against the bytes left, and every element count against the bytes left divided by the smallest
//! element, before anything is reserved. Strings, bytes and records are slices of the frame.

use bytes::Bytes;
use uuid::Uuid;

use crate::records::Records;
use crate::{DecodeError, DecodeErrorKind as Kind, Str};

/// A cursor over one frame.
#[derive(Debug)]
pub struct Decoder {
    bytes: Bytes,
    position: usize,
    /// Where the value being read must end: the end of the frame, or of a tagged field.
    end: usize,
}

impl Decoder {
    /// Reads from the start of `bytes`.
    pub fn new(bytes: Bytes) -> Self {
        let end = bytes.len();
        Self { bytes, position: 0, end }
    }

    /// Bytes not read yet.
    pub fn remaining(&self) -> usize {
        self.end.saturating_sub(self.position)
    }

    /// Bytes read so far.
    pub fn position(&self) -> usize {
        self.position
    }

    /// What has not been read yet.
    pub fn into_remaining(self) -> Bytes {
        self.bytes.slice(self.position..self.end)
    }

    /// An error at the present position.
    #[cold]
    pub(crate) fn fail(&self, field: &str, kind: Kind) -> DecodeError {
        DecodeError::new(kind, field, self.position)
    }

    fn rest(&self) -> &[u8] {
        self.bytes.get(self.position..self.end).unwrap_or_default()
    }

    fn fixed<const N: usize>(&mut self, field: &str) -> Result<[u8; N], DecodeError> {
        match self.rest().first_chunk::<N>() {
            Some(chunk) => {
                let chunk = *chunk;
                self.position += N;
                Ok(chunk)
            }
            None => Err(self.fail(field, Kind::Truncated { needed: N, left: self.remaining() })),
        }
    }

    fn slice(&mut self, field: &str, length: usize) -> Result<Bytes, DecodeError> {
        if length > self.remaining() {
            return Err(self.out_of_range(field, i64::try_from(length).unwrap_or(i64::MAX)));
        }
        let start = self.position;
        self.position += length;
        Ok(self.bytes.slice(start..self.position))
    }

    #[cold]
    fn out_of_range(&self, field: &str, length: i64) -> DecodeError {
        self.fail(field, Kind::LengthOutOfRange { length, left: self.remaining() })
    }

    /// One byte; anything but 0 is true, as Kafka reads it.
    pub fn bool(&mut self, field: &str) -> Result<bool, DecodeError> {
        Ok(self.fixed::<1>(field)? != [0])
    }

    /// Reads an `int8`.
    pub fn int8(&mut self, field: &str) -> Result<i8, DecodeError> {
        self.fixed(field).map(i8::from_be_bytes)
    }

    /// Reads an `int16`.
    pub fn int16(&mut self, field: &str) -> Result<i16, DecodeError> {
        self.fixed(field).map(i16::from_be_bytes)
    }

    /// Reads a `uint16`.
    pub fn uint16(&mut self, field: &str) -> Result<u16, DecodeError> {
        self.fixed(field).map(u16::from_be_bytes)
    }

    /// Reads an `int32`.
    pub fn int32(&mut self, field: &str) -> Result<i32, DecodeError> {
        self.fixed(field).map(i32::from_be_bytes)
    }

    /// Reads an `int64`.
    pub fn int64(&mut self, field: &str) -> Result<i64, DecodeError> {
        self.fixed(field).map(i64::from_be_bytes)
    }

    /// Reads a `uuid`.
    pub fn uuid(&mut self, field: &str) -> Result<Uuid, DecodeError> {
        self.fixed(field).map(Uuid::from_bytes)
    }

    /// An unsigned varint of at most 32 bits in its shortest encoding.
    pub fn unsigned_varint(&mut self, field: &str) -> Result<u32, DecodeError> {
        let mut value = 0u32;
        for (index, byte) in self.rest().iter().take(5).enumerate() {
            let bits = u32::from(byte & 0x7f);
            if index == 4 && bits > 0x0f {
                return Err(self.fail(field, Kind::MalformedVarint));
            }
            value |= bits << (7 * index);
            if byte & 0x80 == 0 {
                if *byte == 0 && index > 0 {
                    return Err(self.fail(field, Kind::MalformedVarint));
                }
                self.position += index + 1;
                return Ok(value);
            }
        }
        let left = self.remaining();
        let kind = if left < 5 { Kind::Truncated { needed: left + 1, left } } else { Kind::MalformedVarint };
        Err(self.fail(field, kind))
    }

    /// A length: -1 or compact 0 is null, anything else negative is refused.
    fn length(&mut self, field: &str, flex: bool, short: bool) -> Result<Option<usize>, DecodeError> {
        let length = match (flex, short) {
            (true, _) => i64::from(self.unsigned_varint(field)?) - 1,
            (false, true) => i64::from(self.int16(field)?),
            (false, false) => i64::from(self.int32(field)?),
        };
        match length {
            -1 => Ok(None),
            length => usize::try_from(length).map(Some).map_err(|_| self.out_of_range(field, length)),
        }
    }

    /// Reads a `string` that may be null if `nullable`.
    pub fn nullable_string(
        &mut self,
        field: &str,
        flex: bool,
        nullable: bool,
    ) -> Result<Option<Str>, DecodeError> {
        match self.length(field, flex, true)? {
            Some(length) if length > 0x7fff => Err(self.out_of_range(field, length as i64)),
            Some(length) => {
                let bytes = self.slice(field, length)?;
                Str::from_utf8(bytes).map(Some).ok_or_else(|| self.fail(field, Kind::InvalidUtf8))
            }
            None if nullable => Ok(None),
            None => Err(self.fail(field, Kind::UnexpectedNull)),
        }
    }

    /// Reads a `string`.
    pub fn string(&mut self, field: &str, flex: bool) -> Result<Str, DecodeError> {
        self.nullable_string(field, flex, false).map(Option::unwrap_or_default)
    }

    /// Reads `bytes` or request `records` that may be null if `nullable`.
    pub fn nullable_bytes(
        &mut self,
        field: &str,
        flex: bool,
        nullable: bool,
    ) -> Result<Option<Bytes>, DecodeError> {
        match self.length(field, flex, false)? {
            Some(length) => self.slice(field, length).map(Some),
            None if nullable => Ok(None),
            None => Err(self.fail(field, Kind::UnexpectedNull)),
        }
    }

    /// Reads `bytes`.
    pub fn bytes(&mut self, field: &str, flex: bool) -> Result<Bytes, DecodeError> {
        self.nullable_bytes(field, flex, false).map(Option::unwrap_or_default)
    }

    /// Reads the `records` of a response.
    pub fn records(&mut self, field: &str, flex: bool, nullable: bool) -> Result<Records, DecodeError> {
        Ok(self.nullable_bytes(field, flex, nullable)?.map_or(Records::Null, Records::Bytes))
    }

    /// Reads the count of an array whose elements take `minimum` bytes or more each.
    fn count(
        &mut self,
        field: &str,
        flex: bool,
        nullable: bool,
        minimum: usize,
    ) -> Result<Option<usize>, DecodeError> {
        match self.length(field, flex, false)? {
            Some(count) if count > self.remaining() / minimum.max(1) => {
                Err(self.out_of_range(field, count as i64))
            }
            None if !nullable => Err(self.fail(field, Kind::UnexpectedNull)),
            count => Ok(count),
        }
    }

    /// Reads an array that may be null if `nullable`; `minimum` is the size of the smallest element in bytes.
    pub fn nullable_array<T>(
        &mut self,
        field: &str,
        flex: bool,
        nullable: bool,
        minimum: usize,
        element: impl Fn(&mut Self) -> Result<T, DecodeError>,
    ) -> Result<Option<Vec<T>>, DecodeError> {
        let Some(count) = self.count(field, flex, nullable, minimum)? else { return Ok(None) };
        let mut elements = Vec::with_capacity(count);
        for index in 0..count {
            elements.push(element(self).map_err(|e| e.within(field, Some(index)))?);
        }
        Ok(Some(elements))
    }

    /// Reads an array; `minimum` is the size of the smallest element in bytes.
    pub fn array<T>(
        &mut self,
        field: &str,
        flex: bool,
        minimum: usize,
        element: impl Fn(&mut Self) -> Result<T, DecodeError>,
    ) -> Result<Vec<T>, DecodeError> {
        self.nullable_array(field, flex, false, minimum, element).map(Option::unwrap_or_default)
    }

    /// Reads a struct.
    pub fn nested<T>(
        &mut self,
        field: &str,
        read: impl FnOnce(&mut Self) -> Result<T, DecodeError>,
    ) -> Result<T, DecodeError> {
        read(self).map_err(|e| e.within(field, None))
    }

    /// Reads a struct that a leading -1 makes null.
    pub fn nullable_nested<T>(
        &mut self,
        field: &str,
        read: impl FnOnce(&mut Self) -> Result<T, DecodeError>,
    ) -> Result<Option<T>, DecodeError> {
        match self.int8(field)? {
            marker if marker < 0 => Ok(None),
            _ => self.nested(field, read).map(Some),
        }
    }

    /// Reads tagged fields. `known` reads the value of a tag and says whether it knows the tag; the others are
    /// returned in ascending order.
    pub fn tagged_fields(
        &mut self,
        mut known: impl FnMut(&mut Self, u32) -> Result<bool, DecodeError>,
    ) -> Result<Vec<(u32, Bytes)>, DecodeError> {
        const FIELD: &str = "tagged fields";
        /// A tag and a size.
        const MINIMUM: usize = 2;
        let count = self.unsigned_varint(FIELD)? as usize;
        if count > self.remaining() / MINIMUM {
            return Err(self.out_of_range(FIELD, count as i64));
        }
        let mut unknown = Vec::new();
        let mut seen = 0u64;
        for _ in 0..count {
            let tag = self.unsigned_varint(FIELD)?;
            let size = self.unsigned_varint(FIELD)? as usize;
            if size > self.remaining() {
                return Err(self.out_of_range(FIELD, size as i64));
            }
            if self.tagged_field(tag, size, &mut known)? {
                let bit = 1u64.checked_shl(tag).unwrap_or(0);
                if seen & bit != 0 {
                    return Err(self.fail(FIELD, Kind::DuplicateTag(tag)));
                }
                seen |= bit;
            } else {
                unknown.push((tag, self.slice(FIELD, size)?));
            }
        }
        unknown.sort_by_key(|(tag, _)| *tag);
        match unknown.array_windows().find(|[(a, _), (b, _)]| a == b) {
            Some([(tag, _), _]) => Err(self.fail(FIELD, Kind::DuplicateTag(*tag))),
            None => Ok(unknown),
        }
    }

    /// Lets `known` read one tagged field, which it must consume to its end.
    fn tagged_field(
        &mut self,
        tag: u32,
        size: usize,
        known: &mut impl FnMut(&mut Self, u32) -> Result<bool, DecodeError>,
    ) -> Result<bool, DecodeError> {
        let outer = std::mem::replace(&mut self.end, self.position + size);
        let known = known(self, tag);
        let left = self.remaining();
        self.end = outer;
        match known {
            Ok(true) if left > 0 => Err(self.fail("tagged fields", Kind::TagNotConsumed(left))),
            known => known,
        }
    }

    /// Reads tagged fields of a struct that has none of its own.
    pub fn unknown_tagged_fields(&mut self) -> Result<Vec<(u32, Bytes)>, DecodeError> {
        self.tagged_fields(|_, _| Ok(false))
    }

    /// Refuses bytes that nobody has read.
    pub fn finish(&self) -> Result<(), DecodeError> {
        match self.remaining() {
            0 => Ok(()),
            left => Err(self.fail("", Kind::TrailingBytes(left))),
        }
    }
}
