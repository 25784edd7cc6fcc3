//! Clusters of real broker processes, a small protocol client and checkers for tests.
