//! Values for parameter groups, lengths of a training, and the plateau rule.

use std::sync::{Mutex, MutexGuard, PoisonError};

use lehr_core::plan::{Length, Mode, Run, ThresholdMode};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PySlice, PyString};

use crate::error::OrPy;
use crate::numbers::{describe, integer, number, numbers, sequence};
use crate::schedule::{Schedule, parts};

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

/// How many steps the units of a training are.
fn run(
    counts_epochs: bool,
    steps_per_epoch: Option<&Bound<'_, PyAny>>,
    tokens_per_step: Option<&Bound<'_, PyAny>>,
) -> PyResult<Run> {
    let steps_per_epoch = match steps_per_epoch {
        None => None,
        Some(steps) => Some(count(steps, "steps_per_epoch")?),
    };
    let tokens_per_step = tokens_per_step.map(|n| number(n, "tokens_per_step")).transpose()?;
    if let Some(tokens) = tokens_per_step
        && !(tokens.is_finite() && tokens > 0.0)
    {
        return Err(PyValueError::new_err(format!(
            "`tokens_per_step` must be a finite number above 0, got {tokens:?}"
        )));
    }
    Ok(Run { counts_epochs, steps_per_epoch, tokens_per_step })
}

/// Read a number of steps: an integer of at least 1.
fn count(value: &Bound<'_, PyAny>, name: &str) -> PyResult<u64> {
    let wrong = || {
        PyValueError::new_err(format!(
            "`{name}` must be a whole number of at least 1, got {}",
            describe(value)
        ))
    };
    if value.is_instance_of::<PyBool>() {
        return Err(wrong());
    }
    match integer(value, name)?.extract::<u64>() {
        Ok(steps) if (1..=1 << 53).contains(&steps) => Ok(steps),
        Ok(steps) if steps > 0 => {
            Err(PyValueError::new_err(format!("`{name}` must be at most 2^53, got {steps}")))
        }
        _ => Err(wrong()),
    }
}

/// Return the number of steps from a number or a length: of a training, or of a part of one of
/// `total` steps.
#[pyfunction]
pub fn run_length(
    steps: &Bound<'_, PyAny>,
    total: Option<u64>,
    counts_epochs: bool,
    steps_per_epoch: Option<&Bound<'_, PyAny>>,
    tokens_per_step: Option<&Bound<'_, PyAny>>,
) -> PyResult<u64> {
    let run = run(counts_epochs, steps_per_epoch, tokens_per_step)?;
    let Ok(text) = steps.cast::<PyString>() else {
        return count(steps, "steps");
    };
    let length = Length::parse(text.to_str()?, "steps").or_py()?;
    let length = match total {
        None => length.total(&run, "steps"),
        Some(total) => length.steps(&run, total, "steps"),
    };
    match length.or_py()? {
        0 => Err(PyValueError::new_err(format!(
            "`steps` must be at least 1 step, got {}",
            describe(steps)
        ))),
        steps => Ok(steps),
    }
}

/// Return the share of a run of `total` steps that a length is.
#[pyfunction]
pub fn length_share(
    text: &str,
    name: &str,
    total: u64,
    counts_epochs: bool,
    steps_per_epoch: Option<&Bound<'_, PyAny>>,
    tokens_per_step: Option<&Bound<'_, PyAny>>,
) -> PyResult<f64> {
    let run = run(counts_epochs, steps_per_epoch, tokens_per_step)?;
    Length::parse(text, name).or_py()?.share(&run, total, name).or_py()
}

/// Check that a text is a length, of unit and amount.
#[pyfunction]
pub fn check_length(text: &str, name: &str) -> PyResult<()> {
    Length::parse(text, name).or_py()?.check_share(name).or_py()
}

/// Return the schedule of phases of the given lengths in a run of `total` steps.
#[pyfunction]
pub fn combine_lengths(
    lengths: &Bound<'_, PyAny>,
    scheds: &Bound<'_, PyAny>,
    total: u64,
    counts_epochs: bool,
    steps_per_epoch: Option<&Bound<'_, PyAny>>,
    tokens_per_step: Option<&Bound<'_, PyAny>>,
) -> PyResult<Schedule> {
    let run = run(counts_epochs, steps_per_epoch, tokens_per_step)?;
    let lengths: Vec<Length> = lengths
        .extract::<Vec<String>>()?
        .iter()
        .enumerate()
        .map(|(index, text)| Length::parse(text, &format!("lengths[{index}]")))
        .collect::<lehr_core::Result<_>>()
        .or_py()?;
    lehr_core::plan::phases(&lengths, parts(scheds)?, &run, total).or_py().map(Schedule)
}

/// Return the step of a training of `now` steps at the share of `step` in one of `then`.
#[pyfunction]
pub fn carried_step(step: u64, then: u64, now: u64) -> u64 {
    lehr_core::plan::carried_step(step, then, now)
}

/// A factor that falls when a metric no longer improves.
#[pyclass(frozen, module = "lehr._core")]
pub struct Plateau(Mutex<lehr_core::plan::Plateau>);

#[pymethods]
impl Plateau {
    #[new]
    fn new(
        factor: f64,
        patience: u64,
        mode: &str,
        threshold: f64,
        threshold_mode: &str,
        cooldown: u64,
    ) -> PyResult<Self> {
        let mode = match mode {
            "min" => Mode::Min,
            "max" => Mode::Max,
            _ => {
                let message = format!("`mode` must be \"min\" or \"max\", got {mode:?}");
                return Err(PyValueError::new_err(message));
            }
        };
        let threshold_mode = match threshold_mode {
            "rel" => ThresholdMode::Rel,
            "abs" => ThresholdMode::Abs,
            _ => {
                return Err(PyValueError::new_err(format!(
                    "`threshold_mode` must be \"rel\" or \"abs\", got {threshold_mode:?}"
                )));
            }
        };
        lehr_core::plan::Plateau::new(factor, patience, mode, threshold, threshold_mode, cooldown)
            .or_py()
            .map(|plateau| Self(Mutex::new(plateau)))
    }

    fn observe(&self, metric: f64) -> bool {
        self.lock().observe(metric)
    }

    #[getter]
    fn get_state(&self) -> (f64, Option<f64>, u64, u64) {
        self.lock().state()
    }

    #[setter]
    fn set_state(&self, state: (f64, Option<f64>, u64, u64)) -> PyResult<()> {
        let (factor, best, bad, cooling) = state;
        self.lock().resume(factor, best, bad, cooling).or_py()
    }
}

impl Plateau {
    fn lock(&self) -> MutexGuard<'_, lehr_core::plan::Plateau> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
