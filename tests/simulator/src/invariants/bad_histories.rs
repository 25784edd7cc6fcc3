//! Bad histories, one for each property: its checker must fail on it.
