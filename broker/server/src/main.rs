//! The Klamm broker process.

fn main() {}
