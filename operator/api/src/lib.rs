//! Custom resource types of Klamm.
