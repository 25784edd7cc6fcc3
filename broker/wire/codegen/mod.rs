//! The generator: tables are parsed to a model, the model is written out as Rust.

pub mod check;
pub mod decode;
pub mod encode;
pub mod library;
pub mod model;
pub mod names;
pub mod parse;
pub mod samples;
pub mod size;
pub mod types;
