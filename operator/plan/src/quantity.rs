//! Kubernetes quantities: amounts of space, CPU and the like, read once and seen as bytes, as thousandths, or as amounts of
//! anything. None of them is below zero.

/// Suffixes of powers of two, and the power.
const BINARY: [(&str, u32); 6] = [("Ki", 10), ("Mi", 20), ("Gi", 30), ("Ti", 40), ("Pi", 50), ("Ei", 60)];
/// Suffixes of powers of ten, and the power.
const DECIMAL: [(&str, i32); 9] =
    [("n", -9), ("u", -6), ("m", -3), ("k", 3), ("M", 6), ("G", 9), ("T", 12), ("P", 15), ("E", 18)];

/// An amount as it is written: `digits` times ten to the `ten` times two to the `two`.
#[derive(Clone, Copy, Debug)]
struct Amount {
    digits: u128,
    ten: i32,
    two: u32,
}

impl Amount {
    fn parse(text: &str) -> Option<Self> {
        let (number, ten, two) = unit(text)?;
        let number = number.strip_prefix('+').unwrap_or(number);
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        let digits = [whole, fraction].concat();
        if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        let fraction = fraction.trim_end_matches('0');
        let digits = ["0", whole, fraction].concat().parse().ok()?;
        Some(Self { digits, ten: ten.checked_sub(i32::try_from(fraction.len()).ok()?)?, two })
    }

    /// How often ten to the `unit` is in it, rounded up as Kubernetes does; `None` if too often.
    fn in_units_of(self, unit: i32) -> Option<u128> {
        let digits = self.digits.checked_mul(1 << self.two)?;
        let ten = self.ten.checked_sub(unit)?;
        let power = 10_u128.checked_pow(ten.unsigned_abs());
        match (ten < 0, power) {
            (true, Some(power)) => Some(digits.div_ceil(power)),
            (true, None) => Some(digits.min(1)),
            (false, Some(power)) => digits.checked_mul(power),
            (false, None) => (digits == 0).then_some(0),
        }
    }
}

/// The number, and the powers of ten and two that its suffix or its exponent stands for.
fn unit(text: &str) -> Option<(&str, i32, u32)> {
    if let Some((number, two)) = ends_with_one_of(text, &BINARY) {
        return Some((number, 0, two));
    }
    if let Some((number, ten)) = ends_with_one_of(text, &DECIMAL) {
        return Some((number, ten, 0));
    }
    match text.split_once(['e', 'E']) {
        Some((number, ten)) => Some((number, ten.parse().ok()?, 0)),
        None => Some((text, 0, 0)),
    }
}

fn ends_with_one_of<'a, T: Copy>(text: &'a str, suffixes: &[(&str, T)]) -> Option<(&'a str, T)> {
    suffixes.iter().find_map(|(suffix, power)| Some((text.strip_suffix(suffix)?, *power)))
}

/// The whole number of bytes that a quantity such as `100Gi` or `1.5T` names; `None` if it names none or too many.
pub fn bytes(quantity: &str) -> Option<u64> {
    u64::try_from(Amount::parse(quantity)?.in_units_of(0)?).ok()
}

/// The same in thousandths, the smallest part that Kubernetes gives away: `0.5` and `500m` are 500.
pub fn thousandths(quantity: &str) -> Option<u128> {
    Amount::parse(quantity)?.in_units_of(-3)
}

/// Whether Kubernetes takes it for an amount of anything, such as `500m`, `2`, `1e3` or `4Gi`; amounts of what a node
/// is given are never below zero.
pub fn is_amount(quantity: &str) -> bool {
    Amount::parse(quantity).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_of_anything_are_recognised() {
        for text in ["500m", "2", "+2", "0.5", "1e3", "1E-2", "4Gi", "7E", "1.", ".5", "100u", "1e99"] {
            assert!(is_amount(text), "{text}");
        }
        for text in [
            "",
            "m",
            ".",
            "two",
            "1 Gi",
            "1.2.3",
            "-1",
            "1e",
            "Gi",
            "1GB",
            "1ee3",
            "1e3Ki",
            "1Kim",
            "1e99999999999",
        ] {
            assert!(!is_amount(text), "{text}");
        }
    }

    #[test]
    fn quantities_of_bytes_are_understood() {
        assert_eq!(bytes("100Gi"), Some(100 << 30));
        assert_eq!(bytes("1.5Ki"), Some(1536));
        assert_eq!(bytes(".5Gi"), Some(1 << 29));
        assert_eq!(bytes("2M"), Some(2_000_000));
        assert_eq!(bytes("1e10"), Some(10_000_000_000));
        assert_eq!(bytes("7E"), Some(7_000_000_000_000_000_000));
        assert_eq!(bytes("7"), Some(7));
        assert_eq!(bytes("1.0000000000000000000000000000Gi"), Some(1 << 30));
    }

    #[test]
    fn anything_else_is_none() {
        for text in ["", "Gi", "ten", "10GB", "-1Gi", "1.Gi.", "100 Gi", "99999999999Ei", "1..5Gi", "1e99"] {
            assert_eq!(bytes(text), None, "{text}");
        }
    }

    #[test]
    fn both_views_are_of_one_amount_and_round_up_as_kubernetes_does() {
        for (text, of_bytes, of_thousandths) in [
            ("0", 0, 0),
            ("0e99", 0, 0),
            ("3", 3, 3_000),
            ("500m", 1, 500),
            ("0.5", 1, 500),
            ("1500m", 2, 1_500),
            ("1u", 1, 1),
            ("1e-99", 1, 1),
            ("1.5Gi", 3 << 29, 1_500 << 30),
            ("1e3", 1_000, 1_000_000),
        ] {
            assert_eq!((bytes(text), thousandths(text)), (Some(of_bytes), Some(of_thousandths)), "{text}");
        }
    }
}
