//! Finds the line of a field in the text of a YAML document.

/// The line (from 0) on which the field stands, or the nearest one above it that could be found. Flow style and
/// quoted keys are found as far as the key opens its line.
pub fn line_of(text: &str, path: &[String]) -> Option<usize> {
    let lines: Vec<&str> = text.lines().collect();
    let mut found = None;
    let (mut from, mut deeper_than) = (0, None);
    for segment in path {
        let next = match segment.parse::<usize>() {
            Ok(index) => nth_item(&lines, from, deeper_than, index),
            Err(_) => key(&lines, from, deeper_than, segment),
        };
        let Some((line, indent)) = next else { break };
        found = Some(line);
        // The fields of a list item may start on the line of its dash.
        from = if segment.parse::<usize>().is_ok() { line } else { line + 1 };
        deeper_than = Some(indent);
    }
    found
}

/// The first line from `from` on, within the block deeper than `outer`, that opens with `name:`.
fn key(lines: &[&str], from: usize, outer: Option<usize>, name: &str) -> Option<(usize, usize)> {
    let mut indent_of_block = None;
    for (line, text) in lines.iter().enumerate().skip(from) {
        let Some((indent, content)) = field(text) else { continue };
        let in_item = line == from && outer.is_some();
        if outer.is_some_and(|outer| indent <= outer) && !in_item {
            return None;
        }
        if *indent_of_block.get_or_insert(indent) == indent && opens_with(content, name) {
            return Some((line, indent));
        }
    }
    None
}

/// The line of the `index`th dash of a list that starts at `from`.
fn nth_item(lines: &[&str], from: usize, outer: Option<usize>, index: usize) -> Option<(usize, usize)> {
    let dashes = lines.iter().enumerate().skip(from).filter_map(|(line, text)| {
        let indent = text.len() - text.trim_start().len();
        text.trim_start().starts_with('-').then_some((line, indent))
    });
    let mut of_list = dashes.filter(|(_, indent)| outer.is_none_or(|outer| *indent >= outer));
    let first = of_list.next()?;
    if index == 0 {
        return Some(first);
    }
    of_list.filter(|(_, indent)| *indent == first.1).nth(index - 1)
}

/// Where the content of a line starts and what it is, without the dash of a list item; `None` for blank lines.
fn field(line: &str) -> Option<(usize, &str)> {
    let content = line.trim_start();
    if content.is_empty() || content.starts_with('#') {
        return None;
    }
    let content = content.strip_prefix("- ").map_or(content, str::trim_start);
    Some((line.len() - content.len(), content))
}

fn opens_with(content: &str, name: &str) -> bool {
    let content = content.trim_start_matches(['"', '\'']);
    let rest = content.strip_prefix(name).map(|rest| rest.trim_start_matches(['"', '\'']));
    rest.is_some_and(|rest| rest.starts_with(':'))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "spec:\n  kafka:\n    # comment\n    replicas: 3\n    listeners:\n      - name: a\n        port: 1\n      - name: b\n        prot: 2\n    config:\n      a.b: 1\nstatus:\n  replicas: 1\n";

    fn line(path: &[&str]) -> Option<usize> {
        line_of(TEXT, &path.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn fields_are_found_within_their_block() {
        assert_eq!(line(&["spec", "kafka", "replicas"]), Some(3));
        assert_eq!(line(&["status", "replicas"]), Some(12));
        assert_eq!(line(&["spec", "kafka", "config", "a.b"]), Some(10));
    }

    #[test]
    fn fields_of_list_items_are_found() {
        assert_eq!(line(&["spec", "kafka", "listeners", "0", "port"]), Some(6));
        assert_eq!(line(&["spec", "kafka", "listeners", "1", "name"]), Some(7));
        assert_eq!(line(&["spec", "kafka", "listeners", "1", "prot"]), Some(8));
    }

    #[test]
    fn what_is_missing_is_placed_at_its_parent() {
        assert_eq!(line(&["spec", "kafka", "storage", "type"]), Some(1));
        assert_eq!(line(&[]), None);
    }
}
