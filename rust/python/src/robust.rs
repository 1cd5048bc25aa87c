//! The robust suggestion, and the smooth curve it reads.

use lehr_core::suggest::{Constants, Reading};
use numpy::{IntoPyArray, PyArray1};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::error::OrPy;
use crate::numbers::{number, sequence};

/// What the rule says: rate, interval, loss, status, reason, signal-to-noise ratio.
type Answer = (f64, (f64, f64), f64, &'static str, String, f64);

/// Suggest a rate between where the loss has fallen and where it breaks away, and judge it.
#[pyfunction]
#[pyo3(signature = (lrs, losses, steps = None, diverged = false, **constants))]
pub fn robust(
    lrs: &Bound<'_, PyAny>,
    losses: &Bound<'_, PyAny>,
    steps: Option<&Bound<'_, PyAny>>,
    diverged: bool,
    constants: Option<&Bound<'_, PyDict>>,
) -> PyResult<Answer> {
    let py = lrs.py();
    let by = constants.map_or_else(|| Ok(Constants::default()), read)?;
    let steps = steps.map(|steps| number(steps, "steps")).transpose()?;
    let (lrs, losses) = (sequence(lrs, "lrs")?, sequence(losses, "losses")?);
    let answer = py
        .detach(move || lehr_core::suggest::robust(&lrs, &losses, steps, diverged, &by))
        .or_py()?;
    let Reading { lr, interval, loss, status, reason, snr } = answer;
    Ok((lr, interval, loss, status.name(), reason, snr))
}

/// Return the smooth curve that the robust rule reads.
#[pyfunction]
pub fn smooth_local<'py>(
    lrs: &Bound<'py, PyAny>,
    losses: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyArray1<f64>>> {
    let py = lrs.py();
    let (lrs, losses) = (sequence(lrs, "lrs")?, sequence(losses, "losses")?);
    let smooth = py.detach(move || lehr_core::suggest::smooth_local(&lrs, &losses)).or_py()?;
    Ok(smooth.into_pyarray(py))
}

/// Return how far other suggestions lie from one, in decades.
#[pyfunction]
pub fn decades_apart(lr: f64, others: &Bound<'_, PyAny>) -> PyResult<f64> {
    Ok(lehr_core::suggest::decades_apart(lr, &sequence(others, "others")?))
}

fn read(given: &Bound<'_, PyDict>) -> PyResult<Constants> {
    let mut by = Constants::default();
    for (name, value) in given {
        let name: String = name.extract()?;
        let place = match name.as_str() {
            "reach" => &mut by.reach,
            "start" => &mut by.start,
            "share" => &mut by.share,
            "rise" => &mut by.rise,
            "noise" => &mut by.noise,
            "spike" => &mut by.spike,
            "crowd" => &mut by.crowd,
            "lead" => &mut by.lead,
            "mix" => &mut by.mix,
            "offset" => &mut by.offset,
            "far" => &mut by.far,
            "far_open" => &mut by.far_open,
            "beyond" => &mut by.beyond,
            "trust" => &mut by.trust,
            "gap" => &mut by.gap,
            "density" => &mut by.density,
            "length" => &mut by.length,
            "weak" => &mut by.weak,
            _ => {
                return Err(PyTypeError::new_err(format!("the rule has no constant `{name}`")));
            }
        };
        *place = number(&value, &name)?;
    }
    Ok(by)
}
