//! Kubernetes quantities, as far as they name an amount of bytes.

/// The suffixes and what they multiply by.
const SUFFIXES: [(&str, u64); 12] = [
    ("Ki", 1 << 10),
    ("Mi", 1 << 20),
    ("Gi", 1 << 30),
    ("Ti", 1 << 40),
    ("Pi", 1 << 50),
    ("Ei", 1 << 60),
    ("k", 1_000),
    ("M", 1_000_000),
    ("G", 1_000_000_000),
    ("T", 1_000_000_000_000),
    ("P", 1_000_000_000_000_000),
    ("E", 1_000_000_000_000_000_000),
];

/// The whole number of bytes that a quantity such as `100Gi` or `1.5T` names; `None` if it names none or too many.
pub fn bytes(quantity: &str) -> Option<u64> {
    let (number, unit) = SUFFIXES
        .iter()
        .find_map(|(suffix, unit)| Some((quantity.strip_suffix(suffix)?, *unit)))
        .unwrap_or((quantity, 1));
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    if whole.is_empty() || fraction.len() > 9 || !digits(whole) || !digits(fraction) {
        return None;
    }
    let scale = 10u128.pow(u32::try_from(fraction.len()).ok()?);
    let scaled: u128 = format!("{whole}{fraction}").parse().ok()?;
    u64::try_from(scaled.checked_mul(u128::from(unit))? / scale).ok()
}

/// Whether Kubernetes takes it for an amount of anything, such as `500m`, `2`, `1e3` or `4Gi`; amounts of what a node
/// is given are never below zero.
pub fn is_amount(quantity: &str) -> bool {
    let unit = SUFFIXES.iter().map(|(suffix, _)| *suffix).chain(["n", "u", "m"]);
    let number = match quantity.split_once(['e', 'E']) {
        Some((number, exponent)) if !exponent.is_empty() => {
            let digits = exponent.trim_start_matches(['+', '-']);
            if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
                return false;
            }
            number
        }
        _ => unit.into_iter().find_map(|suffix| quantity.strip_suffix(suffix)).unwrap_or(quantity),
    };
    let digits = number.bytes().filter(u8::is_ascii_digit).count();
    digits > 0
        && number.bytes().filter(|b| *b == b'.').count() <= 1
        && number.len() - digits <= 1
        && number.bytes().all(|b| b.is_ascii_digit() || b == b'.')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_of_anything_are_recognised() {
        for text in ["500m", "2", "0.5", "1e3", "1E-2", "4Gi", "7E", "1.", ".5"] {
            assert!(is_amount(text), "{text}");
        }
        for text in ["", "m", "two", "1 Gi", "1.2.3", "-1", "1e", "Gi", "1GB", "1ee3"] {
            assert!(!is_amount(text), "{text}");
        }
    }

    #[test]
    fn quantities_of_bytes_are_understood() {
        assert_eq!(bytes("100Gi"), Some(100 << 30));
        assert_eq!(bytes("1.5Ki"), Some(1536));
        assert_eq!(bytes("2M"), Some(2_000_000));
        assert_eq!(bytes("7"), Some(7));
    }

    #[test]
    fn anything_else_is_none() {
        for text in ["", "Gi", "ten", "10GB", "-1Gi", "1.Gi.", "100 Gi", "99999999999Ei", "1..5Gi"] {
            assert_eq!(bytes(text), None, "{text}");
        }
    }
}
