//! `server.properties` on disk.

use std::fmt::Write;
use std::io;
use std::path::Path;

use klamm_operator_plan::observed::Properties;

use crate::data::replace;

const HEADER: &str = "# Written by klamm-operator from the manifest, where changes belong.\n";

/// Writes the properties; a reader finds the old file or the new one.
pub fn write(file: &Path, properties: &Properties) -> io::Result<()> {
    let mut text = HEADER.to_owned();
    for (key, value) in properties {
        // Writing into a string cannot fail.
        let _ = writeln!(text, "{key}={}", value.replace('\\', "\\\\"));
    }
    replace(file, text.as_bytes())
}

/// Reads what `write` wrote. A file that is missing or was changed by hand yields something else than was written,
/// which is all that matters: it is then written again.
pub fn read(file: &Path) -> Properties {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let pairs = lines.filter_map(|line| line.split_once('='));
    pairs.map(|(key, value)| (key.to_owned(), value.replace("\\\\", "\\"))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("server.properties");
        let properties = [("log.dirs", r"/a\b"), ("super.users", "User:a=b")];
        let properties: Properties = properties.map(|(k, v)| (k.to_owned(), v.to_owned())).into();
        write(&file, &properties).unwrap();
        assert_eq!(read(&file), properties);
    }

    #[test]
    fn a_missing_file_is_empty() {
        assert_eq!(read(Path::new("/nonexistent/server.properties")), Properties::new());
    }
}
