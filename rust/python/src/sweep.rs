//! The smoother and the stop rule of a sweep.

use std::sync::{Mutex, MutexGuard, PoisonError};

use lehr_core::sweep::Average;
use numpy::{IntoPyArray, PyArray1, PyReadonlyArray1};
use pyo3::prelude::*;

use crate::error::OrPy;
use crate::numbers::sequence;

/// A float64 array of one dimension.
type Array<'py> = Bound<'py, PyArray1<f64>>;
/// One to read, its values side by side.
type Slice<'py> = PyReadonlyArray1<'py, f64>;

/// A debiased exponential average.
#[pyclass(frozen, module = "lehr._core")]
pub struct Smoother(Mutex<lehr_core::sweep::Smoother>);

#[pymethods]
impl Smoother {
    #[new]
    #[pyo3(signature = (beta = 0.98, total = 0.0, weight = 0.0))]
    fn new(beta: f64, total: f64, weight: f64) -> PyResult<Self> {
        Ok(Self(Mutex::new(lehr_core::sweep::Smoother::resume(beta, total, weight).or_py()?)))
    }

    fn __reduce__<'py>(
        slf: &Bound<'py, Self>,
    ) -> (Bound<'py, pyo3::types::PyType>, (f64, f64, f64)) {
        let sums = lock(&slf.get().0).sums();
        (slf.get_type(), sums)
    }

    fn push(&self, loss: f64) -> f64 {
        lock(&self.0).push(loss)
    }

    fn extend(&self, losses: Vec<f64>) -> Vec<f64> {
        let mut smoother = lock(&self.0);
        losses.into_iter().map(|loss| smoother.push(loss)).collect()
    }
}

/// The losses of a running sweep and its stop rule.
#[pyclass(frozen, module = "lehr._core")]
pub struct SweepState(Mutex<lehr_core::sweep::Sweep>);

#[pymethods]
impl SweepState {
    #[new]
    #[pyo3(signature = (num_it, stop_div = true, beta = 0.98))]
    fn new(num_it: usize, stop_div: bool, beta: f64) -> PyResult<Self> {
        Ok(Self(Mutex::new(lehr_core::sweep::Sweep::new(num_it, stop_div, beta).or_py()?)))
    }

    fn push(&self, loss: f64) -> Option<&'static str> {
        lock(&self.0).push(loss).map(lehr_core::sweep::Stop::name)
    }

    #[getter]
    fn losses<'py>(&self, py: Python<'py>) -> Bound<'py, PyArray1<f64>> {
        // The guard is gone before Python runs: it may wait for another thread.
        let losses = lock(&self.0).losses().to_vec();
        losses.into_pyarray(py)
    }

    #[getter]
    fn smoothed<'py>(&self, py: Python<'py>) -> Bound<'py, PyArray1<f64>> {
        let smoothed = lock(&self.0).smoothed().to_vec();
        smoothed.into_pyarray(py)
    }

    fn __len__(&self) -> usize {
        lock(&self.0).losses().len()
    }
}

/// Read the points of a sweep; return its rates, and its losses as before `smoothing`.
#[pyfunction]
#[pyo3(signature = (lrs, losses, smoothing = None))]
pub fn curve<'py>(
    lrs: &Bound<'py, PyAny>,
    losses: &Bound<'py, PyAny>,
    smoothing: Option<&str>,
) -> PyResult<(Array<'py>, Array<'py>)> {
    let py = lrs.py();
    let smoothing = smoothing.map(Average::from_name).transpose().or_py()?;
    let (lrs, losses) = (sequence(lrs, "lrs")?, sequence(losses, "losses")?);
    let losses = lehr_core::sweep::raw_losses(&lrs, losses, smoothing).or_py()?;
    Ok((lrs.into_pyarray(py), losses.into_pyarray(py)))
}

/// Return what a finder stores for these losses; by default our own average.
#[pyfunction]
#[pyo3(signature = (losses, smoothing = None))]
pub fn average<'py>(losses: &Bound<'py, PyAny>, smoothing: Option<&str>) -> PyResult<Array<'py>> {
    let average = smoothing.map(Average::from_name).transpose().or_py()?;
    let py = losses.py();
    let losses = sequence(losses, "losses")?;
    let averages = match average {
        Some(average) => average.average(&losses),
        None => lehr_core::sweep::smoothed(&losses),
    };
    Ok(averages.into_pyarray(py))
}

/// Return the rates of several sweeps, given as (rates, losses), and the means of their losses.
#[pyfunction]
#[expect(clippy::needless_pass_by_value, reason = "Python hands arguments over")]
pub fn pool<'py>(
    py: Python<'py>,
    sweeps: Vec<(Slice<'py>, Slice<'py>)>,
) -> PyResult<(Array<'py>, Array<'py>)> {
    let slices = sweeps
        .iter()
        .map(|(lrs, losses)| Ok((lrs.as_slice()?, losses.as_slice()?)))
        .collect::<PyResult<Vec<_>>>()?;
    let (lrs, losses) = lehr_core::sweep::pool(&slices).or_py()?;
    Ok((lrs.into_pyarray(py), losses.into_pyarray(py)))
}

/// Return the range of points a suggestion reads.
#[pyfunction]
pub fn trim(n: usize, num_it: usize) -> (usize, usize) {
    let range = lehr_core::sweep::trim(n, num_it);
    (range.start, range.end)
}

/// Nothing that runs under the lock can panic, so a poisoned one is whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
