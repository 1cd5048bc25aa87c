//! The reader of `TensorBoard` event files.

use std::sync::{Mutex, MutexGuard, PoisonError};

use numpy::{IntoPyArray, PyArray1};
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::error::OrPy;

/// The steps, times and values of a tag.
type Scalars<'py> =
    (Bound<'py, PyArray1<i64>>, Bound<'py, PyArray1<f64>>, Bound<'py, PyArray1<f64>>);

/// A reader of the event files of one run.
#[pyclass(frozen, module = "lehr._core")]
#[derive(Default)]
pub struct EventReader(Mutex<lehr_core::events::Reader>);

#[pymethods]
impl EventReader {
    #[new]
    fn new() -> Self {
        Self::default()
    }

    fn push(&self, py: Python<'_>, data: &[u8]) -> PyResult<()> {
        py.detach(|| self.lock().push(data)).or_py()
    }

    fn finish(&self, py: Python<'_>) -> PyResult<()> {
        py.detach(|| self.lock().finish()).or_py()
    }

    fn take<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let series = py.detach(|| self.lock().take());
        let tags = PyDict::new(py);
        for series in series {
            let scalars: Scalars<'_> = (
                series.steps.into_pyarray(py),
                series.times.into_pyarray(py),
                series.values.into_pyarray(py),
            );
            tags.set_item(series.tag, scalars)?;
        }
        Ok(tags)
    }

    #[getter]
    fn started(&self, py: Python<'_>) -> Option<f64> {
        py.detach(|| self.lock().started())
    }

    #[getter]
    fn replaced(&self, py: Python<'_>) -> usize {
        py.detach(|| self.lock().replaced())
    }

    #[getter]
    fn passed_over(&self, py: Python<'_>) -> usize {
        py.detach(|| self.lock().passed_over())
    }
}

impl EventReader {
    /// Taken without the GIL, which another thread may want while it holds the lock. Nothing that
    /// runs under the lock can panic, so a poisoned one is whole.
    fn lock(&self) -> MutexGuard<'_, lehr_core::events::Reader> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
