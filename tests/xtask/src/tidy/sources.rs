//! The Rust sources, as far as sizes and names go.

use std::fs;
use std::path::Path;

use anyhow::Result;

use crate::workspace;

/// A source file.
pub struct Source {
    /// Path from the root of the repository.
    pub path: String,
    /// Lines before the first test module.
    pub lines: usize,
    /// Whether it opens with `//!`.
    pub says_what_it_is: bool,
    /// Its functions, those in tests apart.
    pub functions: Vec<Function>,
}

/// A function with a body.
pub struct Function {
    /// Its name.
    pub name: String,
    /// Where it starts, from 1.
    pub line: usize,
    /// Lines from the signature to the closing brace.
    pub lines: usize,
}

/// Every `.rs` file of the workspace.
///
/// # Errors
/// A file cannot be read.
pub fn all() -> Result<Vec<Source>> {
    let mut files = Vec::new();
    for folder in ["broker", "operator", "tests"] {
        collect(&workspace::root().join(folder), &mut files)?;
    }
    files.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(files)
}

fn collect(folder: &Path, files: &mut Vec<Source>) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, files)?;
        } else if path.extension().is_some_and(|e| e == "rs") {
            let name = path.strip_prefix(workspace::root())?.display().to_string();
            files.push(measure(name, &fs::read_to_string(&path)?));
        }
    }
    Ok(())
}

fn measure(path: String, text: &str) -> Source {
    let lines: Vec<&str> = text.lines().take_while(|line| line.trim() != "#[cfg(test)]").collect();
    let mut functions = Vec::new();
    for (index, line) in lines.iter().enumerate() {
        let Some(name) = function_name(line) else { continue };
        // rustfmt puts the closing brace of a function below the first letter of its signature.
        let indent = line.len() - line.trim_start().len();
        let close = format!("{}}}", " ".repeat(indent));
        let length = lines.iter().skip(index).position(|other| **other == *close);
        if let Some(length) = length
            && !line.ends_with(';')
        {
            functions.push(Function { name, line: index + 1, lines: length + 1 });
        }
    }
    Source { path, lines: lines.len(), says_what_it_is: text.starts_with("//!"), functions }
}

fn function_name(line: &str) -> Option<String> {
    let trimmed = line.trim_start();
    let (before, after) = trimmed.split_once("fn ")?;
    let is_signature =
        before.split_whitespace().all(|w| w.starts_with("pub") || ["async", "const", "unsafe"].contains(&w));
    let name: String = after.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
    (is_signature && !name.is_empty() && !trimmed.ends_with(';') && !trimmed.ends_with('}')).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_are_measured_and_tests_left_out() {
        let text = "//! Doc.\n\npub async fn long(\n    a: u8,\n) {\n    call();\n}\n\nfn one() {}\n#[cfg(test)]\nmod tests {\n}\n";
        let source = measure("a.rs".to_owned(), text);
        assert_eq!(source.lines, 9);
        assert!(source.says_what_it_is);
        let found: Vec<_> = source.functions.iter().map(|f| (f.name.as_str(), f.line, f.lines)).collect();
        assert_eq!(found, [("long", 3, 5)]);
    }
}
