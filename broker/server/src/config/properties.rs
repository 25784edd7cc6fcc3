//! Java `.properties` text: the format of Kafka's `server.properties`.

use std::collections::BTreeMap;

/// Parses properties text: `key=value`, `key: value` or `key value`; `#` and `!` start comment lines; a trailing
/// backslash continues a line; `\t \n \r \f \\ \: \= \uXXXX` are unescaped. The last of two equal keys wins.
pub fn parse(text: &str) -> BTreeMap<String, String> {
    logical_lines(text).iter().map(|line| split(line)).collect()
}

/// Joins continued lines and drops blank ones and comments.
fn logical_lines(text: &str) -> Vec<String> {
    let mut lines = Vec::new();
    let mut current = String::new();
    for raw in text.lines() {
        let line = raw.trim_start();
        if current.is_empty() && (line.is_empty() || line.starts_with('#') || line.starts_with('!')) {
            continue;
        }
        let trailing = line.chars().rev().take_while(|c| *c == '\\').count();
        if trailing % 2 == 1 {
            current.push_str(line.strip_suffix('\\').unwrap_or(line));
        } else {
            current.push_str(line);
            lines.push(std::mem::take(&mut current));
        }
    }
    if !current.is_empty() {
        lines.push(current);
    }
    lines
}

/// Splits one logical line at its first unescaped separator.
fn split(line: &str) -> (String, String) {
    let mut escaped = false;
    for (at, c) in line.char_indices() {
        if !escaped && (c == '=' || c == ':' || c.is_whitespace()) {
            let (key, rest) = line.split_at(at);
            let rest = rest.trim_start();
            let value = rest.strip_prefix(['=', ':']).unwrap_or(rest).trim_start();
            return (unescape(key), unescape(value).trim_end().to_owned());
        }
        escaped = c == '\\' && !escaped;
    }
    (unescape(line), String::new())
}

fn unescape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        match chars.next() {
            Some('t') => out.push('\t'),
            Some('n') => out.push('\n'),
            Some('r') => out.push('\r'),
            Some('f') => out.push('\u{c}'),
            Some('u') => {
                let digits: String = chars.by_ref().take(4).collect();
                let code = u32::from_str_radix(&digits, 16).ok().and_then(char::from_u32);
                out.push(code.unwrap_or(char::REPLACEMENT_CHARACTER));
            }
            Some(other) => out.push(other),
            None => {}
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn separators_comments_and_continuations_are_javas() {
        let parsed = parse("# c\n! c\na=1\nb: 2\nc 3\nd = x\\\n   y\ne=\nf\\=g=h\n a=4\n");
        let expect = [("a", "4"), ("b", "2"), ("c", "3"), ("d", "xy"), ("e", ""), ("f=g", "h")];
        assert_eq!(parsed, expect.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect());
    }

    #[test]
    fn escapes_are_resolved() {
        assert_eq!(parse("k=a\\tb\\u0041\\\\")["k"], "a\tbA\\");
    }
}
