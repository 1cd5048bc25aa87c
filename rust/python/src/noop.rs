//! The floor that benchmarks measure a call against.

use pyo3::prelude::*;

/// A callable that takes a position and does nothing.
#[pyclass(frozen, module = "lehr._core", name = "_Noop")]
pub struct Noop;

#[pymethods]
impl Noop {
    #[new]
    fn new() -> Self {
        Self
    }

    #[expect(clippy::unused_self, reason = "a method call is what is measured")]
    fn __call__(&self, pos: f64) -> f64 {
        pos
    }
}
