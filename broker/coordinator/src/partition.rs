//! Which partition of `__consumer_offsets` a group belongs to.

/// The partition of `group` among `partitions`: Java's `String.hashCode` over UTF-16 code units, sign bit cleared,
/// modulo the partition count. A count below one is read as one.
pub fn partition_for_group(group: &str, partitions: i32) -> i32 {
    let hash =
        group.encode_utf16().fold(0i32, |hash, unit| hash.wrapping_mul(31).wrapping_add(i32::from(unit)));
    (hash & 0x7fff_ffff) % partitions.max(1)
}

#[cfg(test)]
mod tests {
    use super::partition_for_group;

    #[test]
    fn follows_java_string_hash_code() {
        // "hello".hashCode() = 99162322, "polygenelubricants".hashCode() = Integer.MIN_VALUE.
        assert_eq!(partition_for_group("hello", i32::MAX), 99_162_322);
        assert_eq!(partition_for_group("hello", 50), 22);
        assert_eq!(partition_for_group("polygenelubricants", 50), 0);
        assert_eq!(partition_for_group("", 50), 0);
    }

    #[test]
    fn hashes_utf16_code_units_outside_ascii() {
        // U+1F600 is the surrogate pair D83D DE00: 0xD83D * 31 + 0xDE00.
        assert_eq!(partition_for_group("\u{1F600}", i32::MAX), 0xD83D * 31 + 0xDE00);
        assert_eq!(partition_for_group("ä", i32::MAX), 0xE4);
    }

    #[test]
    fn survives_a_partition_count_of_zero() {
        assert_eq!(partition_for_group("hello", 0), 0);
    }
}
