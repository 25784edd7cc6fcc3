//! The metadata image on this node: from the local quorum or pulled from a controller, then published to its users.

pub mod image_file;
pub mod keeper;
pub mod kept;
pub mod publisher;
pub mod pull;
