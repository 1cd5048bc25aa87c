//! The one error type of the crate.

/// What can go wrong, worded for the person who made the call.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An argument has the right type and a value outside its range.
    #[error("{0}")]
    Value(String),
    /// A schedule that holds a function was asked for a form only data can take.
    #[error("{0}")]
    Type(String),
    /// A result does not fit into memory.
    #[error("{0}")]
    Memory(String),
    /// A custom phase failed; the caller gets its error back unchanged.
    #[error(transparent)]
    Custom(Box<dyn std::error::Error + Send + Sync>),
}

/// A `Result` with this crate's [`Error`].
pub type Result<T> = std::result::Result<T, Error>;

/// Make a [`Error::Value`] from a format string.
macro_rules! value_error {
    ($($arg:tt)*) => { $crate::error::Error::Value(format!($($arg)*)) };
}
pub(crate) use value_error;
