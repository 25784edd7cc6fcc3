//! The nearest of some names to a misspelt one.

/// The candidate with the smallest edit distance to `name`, ignoring case, if it is near enough to be meant: at
/// most a third of the letters differ, or two in short names.
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let wanted = name.to_lowercase();
    let limit = (wanted.chars().count() / 3).max(2);
    candidates
        .into_iter()
        .map(|candidate| (distance(&wanted, &candidate.to_lowercase()), candidate))
        .filter(|(distance, candidate)| *distance <= limit && *distance < candidate.chars().count())
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Levenshtein's distance in characters.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, to) in b.iter().enumerate() {
            let substituted = diagonal + usize::from(from != *to);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_finds_the_name_that_was_meant() {
        let names = ["partitions", "replicas", "config", "topicName"];
        assert_eq!(nearest("partitons", names), Some("partitions"));
        assert_eq!(nearest("Replica", names), Some("replicas"));
        assert_eq!(nearest("topicname", names), Some("topicName"));
    }

    #[test]
    fn a_foreign_word_finds_nothing() {
        assert_eq!(nearest("jvmOptions", ["partitions", "replicas", "config"]), None);
        assert_eq!(nearest("ab", ["cd"]), None);
    }
}
