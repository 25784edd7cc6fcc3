//! Cluster metadata: records, image, and the controller's decisions as pure functions.
