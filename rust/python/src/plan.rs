//! Values for parameter groups.

use pyo3::prelude::*;

use crate::error::OrPy;

#[pyfunction]
pub fn spread(start: Option<f64>, stop: f64, groups: usize) -> PyResult<Vec<f64>> {
    match start {
        Some(start) => lehr_core::plan::spread(start, stop, groups),
        None => lehr_core::plan::spread_tenth(stop, groups),
    }
    .or_py()
}
