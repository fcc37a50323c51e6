//! The small model that comes inside the program.
