//! Learning-rate suggestions from a curve.

use lehr_core::suggest::Suggested;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::error::OrPy;
use crate::numbers::{integer, number, sequence};

/// Suggest the rate about two thirds down the longest valley of a learning-rate sweep.
#[pyfunction]
pub fn valley(
    lrs: &Bound<'_, PyAny>,
    losses: &Bound<'_, PyAny>,
    num_it: &Bound<'_, PyAny>,
) -> PyResult<Suggested> {
    ask(lrs, losses, num_it, lehr_core::suggest::valley)
}

/// Suggest the rate that an interval sliding down from the end of a sweep stops at.
#[pyfunction]
#[pyo3(signature = (
    lrs, losses, num_it,
    lr_diff = Argument::Default, thresh = Argument::Default, adjust_value = Argument::Default,
))]
#[pyo3(text_signature = "(lrs, losses, num_it, lr_diff=15, thresh=0.005, adjust_value=1.0)")]
pub fn slide(
    lrs: &Bound<'_, PyAny>,
    losses: &Bound<'_, PyAny>,
    num_it: &Bound<'_, PyAny>,
    lr_diff: Argument<'_>,
    thresh: Argument<'_>,
    adjust_value: Argument<'_>,
) -> PyResult<Suggested> {
    let lr_diff = lr_diff.count("lr_diff", 15)?;
    let thresh = thresh.number("thresh", 0.005)?;
    let adjust_value = adjust_value.number("adjust_value", 1.0)?;
    ask(lrs, losses, num_it, |lrs, losses| {
        lehr_core::suggest::slide(lrs, losses, lr_diff, thresh, adjust_value)
    })
}

/// Suggest a tenth of the rate at the least loss of a sweep.
#[pyfunction]
#[pyo3(signature = (lrs, losses, num_it, window = Argument::Default))]
#[pyo3(text_signature = "(lrs, losses, num_it, window=1)")]
pub fn minimum(
    lrs: &Bound<'_, PyAny>,
    losses: &Bound<'_, PyAny>,
    num_it: &Bound<'_, PyAny>,
    window: Argument<'_>,
) -> PyResult<Suggested> {
    let window = window.count("window", 1)?;
    ask(lrs, losses, num_it, |lrs, losses| lehr_core::suggest::minimum(lrs, losses, window))
}

/// Suggest the rate at which the loss of a sweep falls fastest.
#[pyfunction]
#[pyo3(signature = (lrs, losses, num_it, window = Argument::Default))]
#[pyo3(text_signature = "(lrs, losses, num_it, window=1)")]
pub fn steep(
    lrs: &Bound<'_, PyAny>,
    losses: &Bound<'_, PyAny>,
    num_it: &Bound<'_, PyAny>,
    window: Argument<'_>,
) -> PyResult<Suggested> {
    let window = window.count("window", 1)?;
    ask(lrs, losses, num_it, |lrs, losses| lehr_core::suggest::steep(lrs, losses, window))
}

/// Suggest what Lightning does, from the losses it stores.
#[pyfunction]
#[pyo3(signature = (lrs, losses, skip_begin = 10, skip_end = 1))]
pub fn lightning(
    lrs: &Bound<'_, PyAny>,
    losses: &Bound<'_, PyAny>,
    skip_begin: usize,
    skip_end: usize,
) -> PyResult<Option<Suggested>> {
    read(lrs, losses, |lrs, losses| {
        lehr_core::suggest::lightning(lrs, losses, skip_begin, skip_end)
    })
}

/// Suggest what torch-lr-finder does, from the losses it stores.
#[pyfunction]
#[pyo3(signature = (lrs, losses, skip_start = 10, skip_end = 5))]
pub fn torch_lr_finder(
    lrs: &Bound<'_, PyAny>,
    losses: &Bound<'_, PyAny>,
    skip_start: usize,
    skip_end: usize,
) -> PyResult<Option<Suggested>> {
    read(lrs, losses, |lrs, losses| {
        lehr_core::suggest::torch_lr_finder(lrs, losses, skip_start, skip_end)
    })
}

/// Suggest what ignite does, from the losses it stores.
#[pyfunction]
pub fn ignite(lrs: &Bound<'_, PyAny>, losses: &Bound<'_, PyAny>) -> PyResult<Option<Suggested>> {
    read(lrs, losses, lehr_core::suggest::ignite)
}

/// Ask a rule that is called with the length of the sweep.
fn ask(
    lrs: &Bound<'_, PyAny>,
    losses: &Bound<'_, PyAny>,
    num_it: &Bound<'_, PyAny>,
    rule: impl FnOnce(&[f64], &[f64]) -> lehr_core::Result<Suggested> + Send,
) -> PyResult<Suggested> {
    // No rule needs the length of the sweep; each is called with it.
    let _ = num_it;
    read(lrs, losses, rule)
}

/// Read a curve and ask `rule` about it, other threads running meanwhile.
fn read<T: Send>(
    lrs: &Bound<'_, PyAny>,
    losses: &Bound<'_, PyAny>,
    rule: impl FnOnce(&[f64], &[f64]) -> lehr_core::Result<T> + Send,
) -> PyResult<T> {
    let py = lrs.py();
    let (lrs, losses) = (sequence(lrs, "lrs")?, sequence(losses, "losses")?);
    py.detach(move || rule(&lrs, &losses)).or_py()
}

/// An argument that may be left out, and whose errors name it.
pub enum Argument<'py> {
    Default,
    Given(Bound<'py, PyAny>),
}

impl<'py> FromPyObject<'_, 'py> for Argument<'py> {
    type Error = std::convert::Infallible;

    fn extract(value: Borrowed<'_, 'py, PyAny>) -> Result<Self, Self::Error> {
        Ok(Self::Given(value.to_owned()))
    }
}

impl Argument<'_> {
    fn number(self, name: &str, default: f64) -> PyResult<f64> {
        match self {
            Self::Default => Ok(default),
            Self::Given(value) => number(&value, name),
        }
    }

    /// An integer of at least 1; one too large for any curve is the largest there is.
    fn count(self, name: &str, default: usize) -> PyResult<usize> {
        let Self::Given(value) = self else { return Ok(default) };
        let given = integer(&value, name)?;
        if given.lt(1)? {
            return Err(PyValueError::new_err(format!("`{name}` must be at least 1, got {given}")));
        }
        Ok(given.extract().unwrap_or(usize::MAX))
    }
}
