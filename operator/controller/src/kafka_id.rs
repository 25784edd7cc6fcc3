//! Ids as Kafka's tools print them: the 16 bytes of a uuid in URL-safe base64 without padding.

use uuid::Uuid;

const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
/// The last digit carries the two bits that are left over, padded with zeroes.
const LAST: [char; 4] = ['A', 'Q', 'g', 'w'];

/// The 22 digits of an id.
pub fn text(id: Uuid) -> String {
    let bits = id.as_u128();
    let digit =
        |index: u32| char::from(DIGITS[usize::try_from(bits.rotate_left(6 * index) >> 122).unwrap_or(0)]);
    let last = LAST[usize::try_from(bits & 3).unwrap_or(0)];
    (0..21).map(digit).chain([last]).collect()
}

/// A random cluster id that does not start with a dash, which command lines would take for an option.
pub fn new_cluster_id() -> String {
    loop {
        let id = text(Uuid::new_v4());
        if !id.starts_with('-') {
            return id;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_written_as_kafka_writes_them() {
        assert_eq!(text(Uuid::from_u128(1)), "AAAAAAAAAAAAAAAAAAAAAQ");
        assert_eq!(text(Uuid::from_u128(u128::MAX)), "_____________________w");
        assert_eq!(text(Uuid::from_u128(0xfb << 120)), "-wAAAAAAAAAAAAAAAAAAAA");
    }
}
