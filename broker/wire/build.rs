//! Turns the message tables in `messages/` into Rust: one module per message for the library, samplers for the tests.

#[path = "codegen/mod.rs"]
mod codegen;

use std::error::Error;
use std::path::{Path, PathBuf};
use std::{env, fs};

use codegen::model::Message;

const TABLES: &str = "messages";

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=codegen");
    println!("cargo::rerun-if-changed={TABLES}");
    let messages = read_tables()?;
    let out = PathBuf::from(env::var("OUT_DIR")?);
    fs::write(out.join("messages.rs"), codegen::library::modules(&messages))?;
    fs::write(out.join("samples.rs"), codegen::samples::modules(&messages))?;
    Ok(())
}

fn read_tables() -> Result<Vec<Message>, Box<dyn Error>> {
    let mut messages = Vec::new();
    for file in table_files(Path::new(TABLES))? {
        let text = fs::read_to_string(&file)?;
        let parsed = codegen::parse::table(&text).map_err(|e| format!("{}:{e}", file.display()))?;
        messages.extend(parsed);
    }
    codegen::check::unique_names(&messages)?;
    Ok(messages)
}

fn table_files(folder: &Path) -> Result<Vec<PathBuf>, Box<dyn Error>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            files.extend(table_files(&path)?);
        } else if path.extension().is_some_and(|e| e == "msg") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}
