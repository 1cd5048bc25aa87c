//! What suggestions of many curves have in common.

use pyo3::prelude::*;

use crate::error::OrPy;
use crate::numbers::sequence;

/// Median, quartiles, spread in decades, outliers.
type Spread = (f64, (f64, f64), f64, Vec<usize>);

/// Return median, quartiles, spread in decades, and the indices of outliers.
#[pyfunction]
pub fn spread(lrs: &Bound<'_, PyAny>) -> PyResult<Spread> {
    let py = lrs.py();
    let lrs = sequence(lrs, "lrs")?;
    let found = py.detach(move || lehr_core::group::spread(&lrs)).or_py()?;
    Ok((found.median, found.quartiles, found.decades, found.outliers))
}

/// Return the median of numbers.
#[pyfunction]
pub fn median(values: &Bound<'_, PyAny>) -> PyResult<f64> {
    lehr_core::group::median(&sequence(values, "values")?).or_py()
}

/// Return the power of `values` that the rates go with, Kendall's tau, and the number of values.
#[pyfunction]
pub fn trend(
    values: &Bound<'_, PyAny>,
    lrs: &Bound<'_, PyAny>,
) -> PyResult<Option<(f64, f64, usize)>> {
    let py = lrs.py();
    let (values, lrs) = (sequence(values, "values")?, sequence(lrs, "lrs")?);
    let found = py.detach(move || lehr_core::group::trend(&values, &lrs)).or_py()?;
    Ok(found.map(|found| (found.power, found.tau, found.values)))
}
