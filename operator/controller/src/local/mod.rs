//! Runs nodes as processes of this computer, on its loopback address.

pub mod binary;
pub mod node;
pub mod ports;
pub mod process;
pub mod properties_file;
pub mod readiness;
pub mod supervisor;
