//! The one entry point for chores.

fn main() {}
