//! The schedules people know by name: `lehr.presets` gives these functions their arguments.

use lehr_core::Ends;
use lehr_core::schedule::preset::{self, Ramp, Stable, Waves, Wsd};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyString;

use crate::error::OrPy;
use crate::numbers::{describe, integer, number, numbers, sequence};
use crate::schedule::{Schedule, one_schedule};

/// Read one of several words.
fn choice<T: Copy>(value: &Bound<'_, PyAny>, name: &str, words: &[(&str, T)]) -> PyResult<T> {
    let found = value.cast::<PyString>().ok().and_then(|text| {
        words.iter().find(|(word, _)| text.to_str().is_ok_and(|text| text == *word))
    });
    found.map(|(_, meant)| *meant).ok_or_else(|| {
        let known: Vec<String> = words.iter().map(|(word, _)| format!("{word:?}")).collect();
        PyValueError::new_err(format!(
            "`{name}` must be one of {}, got {}",
            known.join(", "),
            describe(value)
        ))
    })
}

const PLAIN: [(&str, Ramp); 2] = [("linear", Ramp::Linear), ("cosine", Ramp::Cosine)];
const RAMPS: [(&str, Ramp); 3] = [PLAIN[0], PLAIN[1], ("exponential", Ramp::Exponential)];

fn ends(value: &Bound<'_, PyAny>, name: &str) -> PyResult<Ends> {
    numbers(value, name).map(Ends::from)
}

fn whole(value: &Bound<'_, PyAny>, name: &str) -> PyResult<usize> {
    let index = integer(value, name)?;
    index.extract().map_err(|_| {
        PyValueError::new_err(format!(
            "`{name}` must be at least 0 and no huge number, got {index}"
        ))
    })
}

/// Return a schedule behind a warmup.
#[pyfunction]
pub fn preset_warmup(
    schedule: &Bound<'_, PyAny>,
    length: &Bound<'_, PyAny>,
    start_factor: &Bound<'_, PyAny>,
    shape: &Bound<'_, PyAny>,
) -> PyResult<Schedule> {
    let schedule = one_schedule(schedule, "schedule")?;
    let ramp = choice(shape, "shape", &RAMPS)?;
    preset::warmup(
        &schedule.get().0,
        number(length, "length")?,
        number(start_factor, "start_factor")?,
        ramp,
    )
    .or_py()
    .map(Schedule)
}

/// Return the rate of a 1cycle.
#[pyfunction]
pub fn preset_one_cycle(
    peak: &Bound<'_, PyAny>,
    pct: &Bound<'_, PyAny>,
    div: &Bound<'_, PyAny>,
    final_div: &Bound<'_, PyAny>,
    phases: &Bound<'_, PyAny>,
    shape: &Bound<'_, PyAny>,
) -> PyResult<Schedule> {
    preset::one_cycle(
        &ends(peak, "peak")?,
        number(pct, "pct")?,
        number(div, "div")?,
        number(final_div, "final_div")?,
        two_or_three(phases)?,
        choice(shape, "shape", &PLAIN)?,
    )
    .or_py()
    .map(Schedule)
}

/// Return the momentum of a 1cycle.
#[pyfunction]
pub fn preset_one_cycle_momentum(
    high: &Bound<'_, PyAny>,
    low: &Bound<'_, PyAny>,
    pct: &Bound<'_, PyAny>,
    phases: &Bound<'_, PyAny>,
    shape: &Bound<'_, PyAny>,
) -> PyResult<Schedule> {
    preset::one_cycle_momentum(
        &ends(high, "high")?,
        &ends(low, "low")?,
        number(pct, "pct")?,
        two_or_three(phases)?,
        choice(shape, "shape", &PLAIN)?,
    )
    .or_py()
    .map(Schedule)
}

fn two_or_three(phases: &Bound<'_, PyAny>) -> PyResult<u8> {
    let index = integer(phases, "phases")?;
    index
        .extract()
        .map_err(|_| PyValueError::new_err(format!("`phases` must be 2 or 3, got {index}")))
}

/// Return a constant followed by a cosine.
#[pyfunction]
pub fn preset_flat_cos(
    peak: &Bound<'_, PyAny>,
    end: &Bound<'_, PyAny>,
    flat: &Bound<'_, PyAny>,
) -> PyResult<Schedule> {
    preset::flat_cos(&ends(peak, "peak")?, &ends(end, "end")?, number(flat, "flat")?)
        .or_py()
        .map(Schedule)
}

/// Return cosines with warm restarts.
#[pyfunction]
pub fn preset_sgdr(
    peak: &Bound<'_, PyAny>,
    end: &Bound<'_, PyAny>,
    cycles: Option<&Bound<'_, PyAny>>,
    first: Option<&Bound<'_, PyAny>>,
    mult: &Bound<'_, PyAny>,
    decay: &Bound<'_, PyAny>,
) -> PyResult<Schedule> {
    preset::sgdr(
        &ends(peak, "peak")?,
        &ends(end, "end")?,
        cycles.map(|cycles| whole(cycles, "cycles")).transpose()?,
        first.map(|first| number(first, "first")).transpose()?,
        number(mult, "mult")?,
        number(decay, "decay")?,
    )
    .or_py()
    .map(Schedule)
}

/// Return a warmup, a stable phase, and a decay.
#[pyfunction]
#[expect(clippy::too_many_arguments, reason = "those of `lehr.wsd`")]
pub fn preset_wsd(
    peak: &Bound<'_, PyAny>,
    warmup: &Bound<'_, PyAny>,
    decay: &Bound<'_, PyAny>,
    start_factor: &Bound<'_, PyAny>,
    end: &Bound<'_, PyAny>,
    stable: &Bound<'_, PyAny>,
    timescale: Option<&Bound<'_, PyAny>>,
    warmup_shape: &Bound<'_, PyAny>,
    decay_shape: &Bound<'_, PyAny>,
    power: &Bound<'_, PyAny>,
) -> PyResult<Schedule> {
    let warmup = number(warmup, "warmup")?;
    let timescale = scale(timescale)?;
    let power = number(power, "power")?;
    let falls = [
        RAMPS[0],
        RAMPS[1],
        RAMPS[2],
        ("1-sqrt", Ramp::OneMinusSqrt),
        ("power", Ramp::Power(power)),
    ];
    let stables = [("constant", Stable::Constant), ("rsqrt", Stable::InverseSqrt { timescale })];
    preset::wsd(&Wsd {
        peak: ends(peak, "peak")?,
        start: number(start_factor, "start_factor")?,
        end: ends(end, "end")?,
        warmup,
        decay: number(decay, "decay")?,
        stable: choice(stable, "stable", &stables)?,
        warmup_ramp: choice(warmup_shape, "warmup_shape", &RAMPS)?,
        decay_ramp: choice(decay_shape, "decay_shape", &falls)?,
    })
    .or_py()
    .map(Schedule)
}

/// Return a warmup, and the inverse of the square root.
#[pyfunction]
pub fn preset_inverse_sqrt(
    peak: &Bound<'_, PyAny>,
    warmup: &Bound<'_, PyAny>,
    timescale: Option<&Bound<'_, PyAny>>,
    start_factor: &Bound<'_, PyAny>,
    shape: &Bound<'_, PyAny>,
) -> PyResult<Schedule> {
    let warmup = number(warmup, "warmup")?;
    let peak = ends(peak, "peak")?;
    preset::wsd(&Wsd {
        end: peak.clone(),
        peak,
        start: number(start_factor, "start_factor")?,
        warmup,
        decay: 0.0,
        stable: Stable::InverseSqrt { timescale: scale(timescale)? },
        warmup_ramp: choice(shape, "shape", &RAMPS)?,
        decay_ramp: Ramp::Linear,
    })
    .or_py()
    .map(Schedule)
}

/// The time scale of an inverse square root, if one is given.
fn scale(timescale: Option<&Bound<'_, PyAny>>) -> PyResult<Option<f64>> {
    timescale.map(|timescale| number(timescale, "timescale")).transpose()
}

/// Return a constant that is multiplied at milestones.
#[pyfunction]
pub fn preset_multistep(
    start: &Bound<'_, PyAny>,
    milestones: &Bound<'_, PyAny>,
    gamma: &Bound<'_, PyAny>,
) -> PyResult<Schedule> {
    let milestones = sequence(milestones, "milestones")?;
    preset::multistep(&ends(start, "start")?, &milestones, number(gamma, "gamma")?)
        .or_py()
        .map(Schedule)
}

/// Return waves between two values.
#[pyfunction]
pub fn preset_cyclic(
    low: &Bound<'_, PyAny>,
    high: &Bound<'_, PyAny>,
    cycles: Option<&Bound<'_, PyAny>>,
    period: Option<&Bound<'_, PyAny>>,
    up: &Bound<'_, PyAny>,
    mode: &Bound<'_, PyAny>,
    gamma: &Bound<'_, PyAny>,
) -> PyResult<Schedule> {
    let cycles = match (cycles, period) {
        (Some(cycles), None) => number(cycles, "cycles")?,
        (None, Some(period)) => preset::cycles_of(number(period, "period")?).or_py()?,
        (None, None) => {
            return Err(PyValueError::new_err("either `cycles` or `period` must be given"));
        }
        _ => {
            return Err(PyValueError::new_err(
                "either `cycles` or `period` must be given, not both of them",
            ));
        }
    };
    let modes = [
        ("triangular", Waves::Triangular),
        ("triangular2", Waves::Triangular2),
        ("exp_range", Waves::ExpRange(number(gamma, "gamma")?)),
    ];
    preset::cyclic(
        &ends(low, "low")?,
        &ends(high, "high")?,
        cycles,
        number(up, "up")?,
        choice(mode, "mode", &modes)?,
    )
    .or_py()
    .map(Schedule)
}

/// Return a line, or half cosines, through points.
#[pyfunction]
pub fn preset_piecewise(points: &Bound<'_, PyAny>, shape: &Bound<'_, PyAny>) -> PyResult<Schedule> {
    let wrong = || {
        PyTypeError::new_err(format!(
            "`points` must be a list of pairs of position and value, got {}",
            describe(points)
        ))
    };
    let mut read = Vec::new();
    for (index, point) in points.try_iter().map_err(|_| wrong())?.enumerate() {
        let pair: Vec<_> = point?.try_iter().map_err(|_| wrong())?.collect::<PyResult<_>>()?;
        let [pos, value] = &pair[..] else { return Err(wrong()) };
        let pos = number(pos, &format!("points[{index}][0]"))?;
        read.push((pos, ends(value, &format!("points[{index}][1]"))?));
    }
    preset::piecewise(&read, choice(shape, "shape", &PLAIN)?).or_py().map(Schedule)
}

/// Return a polynomial decay.
#[pyfunction]
pub fn preset_polynomial(
    start: &Bound<'_, PyAny>,
    end: &Bound<'_, PyAny>,
    power: &Bound<'_, PyAny>,
) -> PyResult<Schedule> {
    preset::polynomial(ends(start, "start")?, ends(end, "end")?, number(power, "power")?)
        .or_py()
        .map(Schedule)
}

/// Return a decay over a power of the position.
#[pyfunction]
pub fn preset_k_decay(
    start: &Bound<'_, PyAny>,
    end: &Bound<'_, PyAny>,
    k: &Bound<'_, PyAny>,
    shape: &Bound<'_, PyAny>,
) -> PyResult<Schedule> {
    let ramp = choice(shape, "shape", &PLAIN)?;
    preset::k_decay(ends(start, "start")?, ends(end, "end")?, number(k, "k")?, ramp)
        .or_py()
        .map(Schedule)
}
