//! The vector trait, written once for every instruction set.
