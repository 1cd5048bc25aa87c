//! The one way from `lehr_core::Error` to a Python exception.

use lehr_core::Error;
use pyo3::exceptions::{PyMemoryError, PyRuntimeError, PyTypeError, PyValueError};
use pyo3::{PyErr, PyResult};

/// The Python exception for an error of the core.
pub fn to_py(error: Error) -> PyErr {
    match error {
        Error::Value(message) => PyValueError::new_err(message),
        Error::Type(message) => PyTypeError::new_err(message),
        Error::Memory(message) => PyMemoryError::new_err(message),
        // A Python callback's own exception passes through unchanged (rule 8).
        Error::Custom(error) => match error.downcast::<PyErr>() {
            Ok(error) => *error,
            Err(error) => PyRuntimeError::new_err(error.to_string()),
        },
    }
}

/// `?` for results of the core.
pub trait OrPy<T> {
    /// Turn the core's error into a Python exception.
    fn or_py(self) -> PyResult<T>;
}

impl<T> OrPy<T> for lehr_core::Result<T> {
    fn or_py(self) -> PyResult<T> {
        self.map_err(to_py)
    }
}
