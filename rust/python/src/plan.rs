//! Values for parameter groups.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PySlice;

use crate::error::OrPy;
use crate::numbers::{number, numbers, sequence};
use crate::schedule::Schedule;

/// Return one value per group from a number, a sequence, or a slice.
#[pyfunction]
pub fn group_values(value: &Bound<'_, PyAny>, groups: usize, name: &str) -> PyResult<Vec<f64>> {
    let Ok(slice) = value.cast::<PySlice>() else {
        return lehr_core::plan::per_group(&numbers(value, name)?.into(), groups, name).or_py();
    };
    let (first, last) = (slice.getattr("start")?, slice.getattr("stop")?);
    if last.is_none() || !slice.getattr("step")?.is_none() {
        return Err(PyValueError::new_err(format!(
            "`{name}` must be slice(stop) or slice(start, stop), got {}",
            slice.repr()?
        )));
    }
    let stop = number(&last, name)?;
    if first.is_none() {
        lehr_core::plan::spread_tenth(stop, groups, name).or_py()
    } else {
        lehr_core::plan::spread(number(&first, name)?, stop, groups, name).or_py()
    }
}

/// Return the exponential schedule of a sweep's rate.
#[pyfunction]
pub fn sweep_lr(start_lr: &Bound<'_, PyAny>, end_lr: &Bound<'_, PyAny>) -> PyResult<Schedule> {
    let (start, end) = (numbers(start_lr, "start_lr")?, numbers(end_lr, "end_lr")?);
    lehr_core::plan::sweep_lr(start.into(), end.into()).or_py().map(Schedule)
}

/// Return the 1cycle schedule of the rate.
#[pyfunction]
pub fn one_cycle_lr(
    lr_max: &Bound<'_, PyAny>,
    div: &Bound<'_, PyAny>,
    div_final: &Bound<'_, PyAny>,
    pct_start: &Bound<'_, PyAny>,
) -> PyResult<Schedule> {
    lehr_core::plan::one_cycle_lr(
        numbers(lr_max, "lr_max")?.into(),
        number(div, "div")?,
        number(div_final, "div_final")?,
        number(pct_start, "pct_start")?,
    )
    .or_py()
    .map(Schedule)
}

/// Return rates reduced by a factor, but not below a floor.
#[pyfunction]
pub fn reduced_lr(
    lrs: &Bound<'_, PyAny>,
    reduction: &Bound<'_, PyAny>,
    min_lr: &Bound<'_, PyAny>,
) -> PyResult<Vec<f64>> {
    let lrs = sequence(lrs, "lrs")?;
    lehr_core::plan::reduced_lr(&lrs, number(reduction, "reduction")?, number(min_lr, "min_lr")?)
        .or_py()
}

/// Return the flat-cosine schedule of the rate.
#[pyfunction]
pub fn flat_cos_lr(
    lr: &Bound<'_, PyAny>,
    div_final: &Bound<'_, PyAny>,
    pct_start: &Bound<'_, PyAny>,
) -> PyResult<Schedule> {
    lehr_core::plan::flat_cos_lr(
        numbers(lr, "lr")?.into(),
        number(div_final, "div_final")?,
        number(pct_start, "pct_start")?,
    )
    .or_py()
    .map(Schedule)
}

/// Return the number of epochs that cycles with warm restarts take.
#[pyfunction]
pub fn sgdr_epochs(
    n_cycles: usize,
    cycle_len: usize,
    cycle_mult: &Bound<'_, PyAny>,
) -> PyResult<usize> {
    lehr_core::plan::sgdr_epochs(n_cycles, cycle_len, number(cycle_mult, "cycle_mult")?).or_py()
}

/// Return the schedule of the rate over cycles with warm restarts.
#[pyfunction]
pub fn sgdr_lr(
    lr_max: &Bound<'_, PyAny>,
    n_cycles: usize,
    cycle_mult: &Bound<'_, PyAny>,
    steps: usize,
) -> PyResult<Schedule> {
    let lr_max = numbers(lr_max, "lr_max")?.into();
    let cycle_mult = number(cycle_mult, "cycle_mult")?;
    lehr_core::plan::sgdr_lr(&lr_max, n_cycles, cycle_mult, steps).or_py().map(Schedule)
}

/// Return the peak rates of the two parts of fine-tuning.
#[pyfunction]
pub fn fine_tune_lrs(
    base_lr: &Bound<'_, PyAny>,
    lr_mult: &Bound<'_, PyAny>,
    groups: usize,
) -> PyResult<(Vec<f64>, Vec<f64>)> {
    let rates = if base_lr.is_instance_of::<PySlice>() {
        lehr_core::Ends::Many(group_values(base_lr, groups, "base_lr")?)
    } else {
        numbers(base_lr, "base_lr")?.into()
    };
    lehr_core::plan::fine_tune_lrs(&rates, number(lr_mult, "lr_mult")?, groups).or_py()
}
