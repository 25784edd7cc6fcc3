//! The text form of a node's properties.

use std::fmt::Write;

use klamm_operator_plan::observed::Properties;

/// The properties as a file in Kafka's format.
pub fn text(properties: &Properties) -> String {
    let mut text = String::new();
    for (key, value) in properties {
        // Writing into a string cannot fail.
        let _ = writeln!(text, "{key}={}", value.replace('\\', "\\\\"));
    }
    text
}

/// The properties that [`text`] wrote.
pub fn parse(text: &str) -> Properties {
    let pairs = text.lines().filter_map(|line| line.split_once('='));
    pairs.map(|(key, value)| (key.to_owned(), value.replace("\\\\", "\\"))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let properties = [("log.dirs", r"/a\b"), ("super.users", "User:a=b"), ("empty", "")];
        let properties: Properties = properties.map(|(k, v)| (k.to_owned(), v.to_owned())).into();
        assert_eq!(parse(&text(&properties)), properties);
    }
}
