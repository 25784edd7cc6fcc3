//! Names of the tables as names of Rust.

const KEYWORDS: &[&str] = &["type", "match", "move", "ref", "self", "struct", "use", "where", "loop", "in"];

/// `TopicId` to `topic_id`; a Rust keyword gets a trailing underscore.
pub fn snake(name: &str) -> String {
    let chars: Vec<char> = name.chars().collect();
    let mut out = String::new();
    for (i, c) in chars.iter().enumerate() {
        let previous = i.checked_sub(1).and_then(|p| chars.get(p));
        let next = chars.get(i + 1);
        let after_word = previous.is_some_and(|p| p.is_lowercase() || p.is_ascii_digit());
        let before_word = previous.is_some() && next.is_some_and(|n| n.is_lowercase());
        if c.is_uppercase() && (after_word || before_word) {
            out.push('_');
        }
        out.extend(c.to_lowercase());
    }
    if KEYWORDS.contains(&out.as_str()) {
        out.push('_');
    }
    out
}
