//! Behaviour that every store must show.
