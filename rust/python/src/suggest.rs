//! Learning-rate suggestions from a curve.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::numbers::sequence;

/// A suggested rate and the point of the curve it stands on.
type Suggested = (f64, (f64, f64));

/// Suggest the rate about two thirds down the longest valley of a learning-rate sweep.
#[pyfunction]
pub fn valley(
    lrs: &Bound<'_, PyAny>,
    losses: &Bound<'_, PyAny>,
    num_it: &Bound<'_, PyAny>,
) -> PyResult<Suggested> {
    // The rule does not need the length of the sweep; every rule is called with it.
    let _ = num_it;
    let (lrs, losses) = (sequence(lrs, "lrs")?, sequence(losses, "losses")?);
    if lrs.len() != losses.len() {
        return Err(PyValueError::new_err(format!(
            "`lrs` and `losses` must have the same length, got {} and {}",
            lrs.len(),
            losses.len()
        )));
    }
    let index = lehr_core::suggest::valley(&losses)
        .ok_or_else(|| PyValueError::new_err("`losses` must hold at least one point, got none"))?;
    Ok((lrs[index], (lrs[index], losses[index])))
}
