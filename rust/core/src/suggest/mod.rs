//! Learning-rate suggestions, one file a rule.

mod valley;

pub use valley::valley;
