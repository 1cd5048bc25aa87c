//! `lehr.Schedule` and the functions that make one.

use std::any::Any;
use std::collections::hash_map::DefaultHasher;
use std::hash::Hasher;
use std::sync::Arc;

use lehr_core::schedule::Op;
use lehr_core::{Custom, Ends, Error, Part, Shape};
use numpy::{IntoPyArray, PyArrayMethods};
use pyo3::exceptions::{PyMemoryError, PyTypeError, PyValueError};
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::{PyFloat, PyList, PyString, PyTuple};
use pyo3::{IntoPyObjectExt, intern};

use crate::error::{OrPy, to_py};
use crate::numbers::{Numbers, describe, integer, number, numbers, sequence};

/// Below this many values, releasing the GIL costs more than it gives.
const DETACH_FROM: usize = 10_000;

/// A hyper-parameter as a function of `pos`, the share of training done.
#[pyclass(frozen, weakref, module = "lehr")]
pub struct Schedule(pub(crate) lehr_core::Schedule);

/// A Python callable as a phase (rule 8).
struct Callable {
    function: Py<PyAny>,
    groups: Option<usize>,
}

impl Custom for Callable {
    fn at(&self, pos: f64, out: &mut [f64]) -> lehr_core::Result<()> {
        let called = Python::attach(|py| -> PyResult<Numbers> {
            numbers(&self.function.bind(py).call1((pos,))?, "phase(pos)")
        });
        match called.map_err(|error| Error::Custom(Box::new(error)))? {
            Numbers::One(value) => out.fill(value),
            Numbers::Many(values) if values.len() == out.len() => {
                out.copy_from_slice(&values);
            }
            Numbers::Many(values) => {
                return Err(Error::Value(format!(
                    "a custom phase must return a number{}, but {} returned {} numbers at pos {pos:?}",
                    if out.len() > 1 {
                        format!(" or {} numbers", out.len())
                    } else {
                        String::new()
                    },
                    self.describe(),
                    values.len(),
                )));
            }
        }
        match out.iter().find(|value| !value.is_finite()) {
            None => Ok(()),
            Some(value) => Err(Error::Value(format!(
                "a custom phase must return finite numbers, but {} returned {value:?} at pos {pos:?}",
                self.describe()
            ))),
        }
    }

    fn groups(&self) -> Option<usize> {
        self.groups
    }

    fn describe(&self) -> String {
        Python::attach(|py| {
            self.function
                .bind(py)
                .repr()
                .map_or_else(|_| "<callable>".to_owned(), |r| r.to_string())
        })
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

fn callable(custom: &Arc<dyn Custom>) -> Option<&Callable> {
    custom.as_any().downcast_ref()
}

#[pymethods]
impl Schedule {
    fn __call__<'py>(&self, py: Python<'py>, pos: &Bound<'py, PyAny>) -> PyResult<Py<PyAny>> {
        self.evaluate(py, pos)
    }
    /// Return the values a training of `steps` steps sees.
    #[pyo3(signature = (steps, end = false))]
    fn values<'py>(
        &self,
        py: Python<'py>,
        steps: &Bound<'py, PyAny>,
        end: bool,
    ) -> PyResult<Bound<'py, PyAny>> {
        let steps = count(steps, "steps")?;
        let values = self.detached(py, steps, |schedule| schedule.values(steps, end))?;
        self.shaped(py, values)
    }

    /// The value at 0.
    #[getter]
    fn start(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        match self.0.as_simple() {
            Some((_, start, _)) => ends(py, start),
            None => self.one(py, 0.0),
        }
    }

    /// The value at 1.
    #[getter]
    fn end(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        match self.0.as_simple() {
            Some((_, _, end)) => ends(py, end),
            None => self.one(py, 1.0),
        }
    }

    /// The schedules or functions it is combined from.
    #[getter]
    fn phases<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyTuple>> {
        let py = slf.py();
        if let Some((of, times, _)) = slf.get().0.as_repeat() {
            let of = Self(of.clone()).into_py_any(py)?;
            return PyTuple::new(py, vec![of.bind(py); times]);
        }
        match slf.get().0.as_combined() {
            None => PyTuple::new(py, [slf]),
            Some((_, parts)) => {
                let parts: PyResult<Vec<_>> =
                    parts.iter().map(|part| part_to_py(py, part)).collect();
                PyTuple::new(py, parts?)
            }
        }
    }

    /// Positions at which its phases begin, and 1.
    #[getter]
    fn boundaries<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        PyTuple::new(py, self.0.boundaries())
    }

    /// Number of parameter groups it gives values for, or None.
    #[getter]
    fn groups(&self) -> Option<usize> {
        self.0.groups()
    }
    /// Return the schedule as JSON that `from_json` reads back.
    fn to_json(&self) -> PyResult<String> {
        self.0.to_json().or_py()
    }

    /// Return the schedule that `to_json` wrote.
    #[staticmethod]
    fn from_json(text: &Bound<'_, PyAny>) -> PyResult<Self> {
        let text = text.cast::<PyString>().map_err(|_| {
            PyTypeError::new_err(format!("`text` must be a string, got {}", describe(text)))
        })?;
        let text = text.to_str().map_err(|error| {
            let wrong = PyValueError::new_err("`text` must be the JSON of a schedule: not UTF-8");
            wrong.set_cause(text.py(), Some(error));
            wrong
        })?;
        lehr_core::Schedule::from_json(text).or_py().map(Self)
    }

    /// Draw the schedule; return the axes.
    #[pyo3(signature = (ax = None))]
    fn plot<'py>(
        slf: &Bound<'py, Self>,
        ax: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let plotting = slf.py().import(intern!(slf.py(), "lehr.plotting"))?;
        plotting.call_method1(intern!(slf.py(), "plot_schedule"), (slf, ax))
    }

    /// Return the sum with another schedule, a number, or numbers.
    fn __add__(&self, other: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
        self.joined(other, lehr_core::Schedule::add)
    }

    fn __radd__(&self, other: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
        self.joined(other, lehr_core::Schedule::add)
    }

    /// Return the product with another schedule, a number, or numbers.
    fn __mul__(&self, other: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
        self.joined(other, lehr_core::Schedule::multiply)
    }

    fn __rmul__(&self, other: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
        self.joined(other, lehr_core::Schedule::multiply)
    }

    /// numpy leaves its operators to ours: an array is one number a group.
    #[classattr]
    #[pyo3(name = "__array_ufunc__")]
    fn array_ufunc() -> Option<bool> {
        None
    }

    /// Return this schedule for the first `share` of training, then another.
    fn then(&self, other: &Bound<'_, PyAny>, share: &Bound<'_, PyAny>) -> PyResult<Self> {
        let other = one_schedule(other, "other")?;
        self.0.then(&other.get().0, number(share, "share")?).or_py().map(Self)
    }

    /// Return the schedule with its values held between bounds.
    #[pyo3(signature = (low = None, high = None))]
    fn clip(
        &self,
        low: Option<&Bound<'_, PyAny>>,
        high: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Self> {
        let low = low.map(|low| numbers(low, "low")).transpose()?.map(Ends::from);
        let high = high.map(|high| numbers(high, "high")).transpose()?.map(Ends::from);
        self.0.clip(low, high).or_py().map(Self)
    }

    /// Return the schedule backwards.
    fn reverse(&self) -> PyResult<Self> {
        self.0.reverse().or_py().map(Self)
    }

    /// Return the part between two positions, stretched over the whole.
    fn part(&self, start: &Bound<'_, PyAny>, end: &Bound<'_, PyAny>) -> PyResult<Self> {
        self.0.part(number(start, "start")?, number(end, "end")?).or_py().map(Self)
    }

    /// Return the schedule at `pos ** power`.
    fn warp(&self, power: &Bound<'_, PyAny>) -> PyResult<Self> {
        self.0.warp(number(power, "power")?).or_py().map(Self)
    }

    /// Return several runs of the schedule.
    #[pyo3(
        signature = (times, stretch = None),
        text_signature = "($self, times, stretch=1.0)"
    )]
    fn repeat(
        &self,
        times: &Bound<'_, PyAny>,
        stretch: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Self> {
        let stretch = stretch.map_or(Ok(1.0), |stretch| number(stretch, "stretch"))?;
        let times = integer(times, "times")?;
        // What no usize holds is out of range as 0 is.
        let most = lehr_core::schedule::MAX_PHASES;
        let times = times.extract().map_err(|_| {
            PyValueError::new_err(format!("`times` must be between 1 and {most}, got {times}"))
        })?;
        self.0.repeat(times, stretch).or_py().map(Self)
    }

    fn __eq__(&self, other: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
        let py = other.py();
        let Ok(other) = other.cast::<Self>() else {
            return Ok(py.NotImplemented());
        };
        let mut equal = self.0.same_structure(&other.get().0);
        if equal && self.0.has_customs() {
            for (a, b) in self.0.customs().into_iter().zip(other.get().0.customs()) {
                if let (Some(a), Some(b)) = (callable(a), callable(b)) {
                    equal = equal && a.function.bind(py).eq(&b.function)?;
                }
            }
        }
        equal.into_py_any(py)
    }

    fn __hash__(&self, py: Python<'_>) -> PyResult<u64> {
        let mut state = DefaultHasher::new();
        self.0.hash_structure(&mut state);
        for custom in self.0.customs().into_iter().filter_map(callable) {
            state.write_isize(custom.function.bind(py).hash()?);
        }
        Ok(state.finish())
    }

    fn __repr__(&self) -> String {
        self.0.to_string()
    }

    fn __reduce__<'py>(
        &self,
        py: Python<'py>,
    ) -> PyResult<(Bound<'py, PyAny>, Bound<'py, PyTuple>)> {
        let core = py.import(intern!(py, "lehr._core"))?;
        if let Some((pcts, parts)) = self.0.as_combined() {
            let parts: PyResult<Vec<_>> = parts.iter().map(|part| part_to_py(py, part)).collect();
            let arguments = (PyList::new(py, pcts)?, PyList::new(py, parts?)?).into_pyobject(py)?;
            return Ok((core.getattr("combine_scheds")?, arguments));
        }
        if let Some((op, of)) = self.0.as_made() {
            return reduce_made(py, op, of);
        }
        if let Some((of, times, stretch)) = self.0.as_repeat() {
            let of = Self(of.clone());
            return method_call(py, of, ("repeat", times, stretch).into_pyobject(py)?);
        }
        let Some((shape, start, end)) = self.0.as_simple() else {
            return Err(PyTypeError::new_err("a schedule of an unknown kind"));
        };
        let (start, end) = (ends_plain(py, start)?, ends_plain(py, end)?);
        let (name, arguments) = match shape {
            Shape::Lin => ("SchedLin", (start, end).into_pyobject(py)?),
            Shape::Cos => ("SchedCos", (start, end).into_pyobject(py)?),
            Shape::No => ("SchedNo", (start, end).into_pyobject(py)?),
            Shape::Exp => ("SchedExp", (start, end).into_pyobject(py)?),
            Shape::Poly { power } => ("SchedPoly", (start, end, power).into_pyobject(py)?),
            Shape::InverseSqrt => ("SchedInverseSqrt", (start, end).into_pyobject(py)?),
            Shape::Tanh { lower, upper } => {
                ("SchedTanh", (start, end, lower, upper).into_pyobject(py)?)
            }
        };
        Ok((core.getattr(name)?, arguments))
    }

    #[expect(clippy::needless_pass_by_value, reason = "the signature PyO3 asks for")]
    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.0.for_each_owned_custom(&mut |custom| match custom.as_any().downcast_ref() {
            Some(Callable { function, .. }) => visit.call(function),
            None => Ok(()),
        })
    }
}

/// How pickle makes a schedule again that was made from others.
fn reduce_made<'py>(
    py: Python<'py>,
    op: &Op,
    of: &[lehr_core::Schedule],
) -> PyResult<(Bound<'py, PyAny>, Bound<'py, PyTuple>)> {
    let bound = |bound: &Option<Ends>| match bound {
        None => Ok(py.None()),
        Some(bound) => ends_plain(py, bound),
    };
    let first = Schedule(of[0].clone());
    let arguments = match op {
        Op::Add | Op::Multiply => {
            let name = if *op == Op::Add { intern!(py, "add") } else { intern!(py, "mul") };
            let function = py.import(intern!(py, "operator"))?.getattr(name)?;
            return Ok((function, (first, Schedule(of[1].clone())).into_pyobject(py)?));
        }
        Op::Clip { low, high } => ("clip", bound(low)?, bound(high)?).into_pyobject(py)?,
        Op::Part { start, end } => ("part", *start, *end).into_pyobject(py)?,
        Op::Warp { power } => ("warp", *power).into_pyobject(py)?,
    };
    method_call(py, first, arguments)
}

/// A call of a method, as pickle wants it: the name of the method, and its arguments.
fn method_call<'py>(
    py: Python<'py>,
    of: Schedule,
    arguments: Bound<'py, PyTuple>,
) -> PyResult<(Bound<'py, PyAny>, Bound<'py, PyTuple>)> {
    let operator = py.import(intern!(py, "operator"))?;
    let call = operator.getattr(intern!(py, "methodcaller"))?.call1(arguments)?;
    Ok((call, (of,).into_pyobject(py)?))
}

/// Read a schedule.
pub(crate) fn one_schedule<'a, 'py>(
    value: &'a Bound<'py, PyAny>,
    name: &str,
) -> PyResult<&'a Bound<'py, Schedule>> {
    value.cast::<Schedule>().map_err(|_| {
        PyTypeError::new_err(format!("`{name}` must be a schedule, got {}", describe(value)))
    })
}

impl Schedule {
    /// A sum or product with a schedule, a number, or numbers, one a group.
    fn joined(
        &self,
        other: &Bound<'_, PyAny>,
        join: fn(
            &lehr_core::Schedule,
            &lehr_core::Schedule,
        ) -> lehr_core::Result<lehr_core::Schedule>,
    ) -> PyResult<Py<PyAny>> {
        let py = other.py();
        let joined = if let Ok(other) = other.cast::<Self>() {
            join(&self.0, &other.get().0)
        } else {
            let value: Ends = match numbers(other, "other") {
                Ok(numbers) => numbers.into(),
                Err(error) if error.is_instance_of::<PyTypeError>(py) => {
                    return Ok(py.NotImplemented());
                }
                Err(error) => return Err(error),
            };
            let constant = lehr_core::Schedule::simple(Shape::No, value.clone(), value).or_py()?;
            join(&self.0, &constant)
        };
        Self(joined.or_py()?).into_py_any(py)
    }

    /// The value at one position, or the values at several.
    #[inline]
    pub(crate) fn evaluate(&self, py: Python<'_>, pos: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
        if let Ok(pos) = pos.cast_exact::<PyFloat>() {
            // The short way first: it asks neither for groups nor for errors.
            return match self.0.at_inside(pos.value()) {
                Some(value) => Ok(PyFloat::new(py, value).into_any().unbind()),
                None => self.one(py, pos.value()),
            };
        }
        match numbers(pos, "pos")? {
            Numbers::One(pos) => self.one(py, pos),
            Numbers::Many(positions) => {
                let values =
                    self.detached(py, positions.len(), |schedule| schedule.at_many(&positions))?;
                Ok(self.shaped(py, values)?.unbind())
            }
        }
    }

    #[inline]
    fn one(&self, py: Python<'_>, pos: f64) -> PyResult<Py<PyAny>> {
        match self.0.groups() {
            None => Ok(PyFloat::new(py, self.0.at(pos).map_err(to_py)?).into_any().unbind()),
            Some(groups) => {
                let mut out = vec![0.0; groups];
                self.0.at_groups(pos, &mut out).or_py()?;
                Ok(out.into_pyarray(py).into_any().unbind())
            }
        }
    }

    /// Run a long evaluation without the GIL, unless Python functions take part in it.
    fn detached<T: Send>(
        &self,
        py: Python<'_>,
        count: usize,
        run: impl FnOnce(&lehr_core::Schedule) -> lehr_core::Result<T> + Send,
    ) -> PyResult<T> {
        let schedule = &self.0;
        if count < DETACH_FROM || schedule.has_customs() {
            run(schedule).or_py()
        } else {
            py.detach(|| run(schedule)).or_py()
        }
    }

    /// Values as `(n,)`, or `(n, groups)` for a schedule with groups.
    fn shaped<'py>(&self, py: Python<'py>, values: Vec<f64>) -> PyResult<Bound<'py, PyAny>> {
        match self.0.groups() {
            None => Ok(values.into_pyarray(py).into_any()),
            Some(groups) => {
                let rows = values.len() / groups;
                Ok(values.into_pyarray(py).reshape([rows, groups])?.into_any())
            }
        }
    }
}

/// Ends as the attributes show them: a float, or a fresh array.
fn ends(py: Python<'_>, ends: &Ends) -> PyResult<Py<PyAny>> {
    match ends {
        Ends::One(value) => value.into_py_any(py),
        Ends::Many(values) => Ok(values.clone().into_pyarray(py).into_any().unbind()),
    }
}

/// Ends as plain Python values, for pickles that need no numpy.
fn ends_plain(py: Python<'_>, ends: &Ends) -> PyResult<Py<PyAny>> {
    match ends {
        Ends::One(value) => value.into_py_any(py),
        Ends::Many(values) => values.into_py_any(py),
    }
}

fn part_to_py(py: Python<'_>, part: &Part) -> PyResult<Py<PyAny>> {
    match part {
        Part::Schedule(schedule) => Schedule(schedule.clone()).into_py_any(py),
        Part::Custom(custom) => match callable(custom) {
            Some(callable) => Ok(callable.function.clone_ref(py)),
            None => Ok(py.None()),
        },
    }
}

/// Read a count of things: an integer of at least 0.
fn count(value: &Bound<'_, PyAny>, name: &str) -> PyResult<usize> {
    let index = integer(value, name)?;
    if index.lt(0)? {
        return Err(PyValueError::new_err(format!("`{name}` must be at least 1, got {index}")));
    }
    index.extract().map_err(|_| {
        PyMemoryError::new_err(format!("`{name}` = {index} values do not fit into memory"))
    })
}

fn simple(shape: Shape, start: &Bound<'_, PyAny>, end: &Bound<'_, PyAny>) -> PyResult<Schedule> {
    let (start, end) = (numbers(start, "start")?.into(), numbers(end, "end")?.into());
    lehr_core::Schedule::simple(shape, start, end).or_py().map(Schedule)
}

/// The maker and the direct function of one shape.
macro_rules! shape_functions {
    ($shape:expr, $make:ident = $make_name:literal, $direct:ident, $formula:literal) => {
        #[doc = concat!("Return the schedule ", $formula, ".")]
        #[pyfunction(name = $make_name)]
        pub fn $make(start: &Bound<'_, PyAny>, end: &Bound<'_, PyAny>) -> PyResult<Schedule> {
            simple($shape, start, end)
        }

        #[doc = concat!("Return ", $formula, ".")]
        #[pyfunction]
        pub fn $direct(
            start: &Bound<'_, PyAny>,
            end: &Bound<'_, PyAny>,
            pos: &Bound<'_, PyAny>,
        ) -> PyResult<Py<PyAny>> {
            simple($shape, start, end)?.evaluate(pos.py(), pos)
        }
    };
}

shape_functions!(Shape::Lin, make_lin = "SchedLin", sched_lin, "(1 - pos) start + pos end");
shape_functions!(
    Shape::Cos,
    make_cos = "SchedCos",
    sched_cos,
    "start + (end - start) (1 - cos(pi pos)) / 2"
);
shape_functions!(Shape::No, make_no = "SchedNo", sched_no, "start");
shape_functions!(Shape::Exp, make_exp = "SchedExp", sched_exp, "start (end / start)^pos");

/// Return the schedule 1 / sqrt((1 - pos) / start^2 + pos / end^2).
#[pyfunction(name = "SchedInverseSqrt")]
pub fn make_inverse_sqrt(start: &Bound<'_, PyAny>, end: &Bound<'_, PyAny>) -> PyResult<Schedule> {
    simple(Shape::InverseSqrt, start, end)
}

/// Return the schedule between two ends along tanh from `lower` to `upper`.
#[pyfunction(name = "SchedTanh")]
#[pyo3(
    signature = (start, end, lower = None, upper = None),
    text_signature = "(start, end, lower=-7.0, upper=3.0)"
)]
pub fn make_tanh(
    start: &Bound<'_, PyAny>,
    end: &Bound<'_, PyAny>,
    lower: Option<&Bound<'_, PyAny>>,
    upper: Option<&Bound<'_, PyAny>>,
) -> PyResult<Schedule> {
    let lower = lower.map_or(Ok(-7.0), |lower| number(lower, "lower"))?;
    let upper = upper.map_or(Ok(3.0), |upper| number(upper, "upper"))?;
    simple(Shape::Tanh { lower, upper }, start, end)
}

/// Return the schedule start + (end - start) pos^power.
#[pyfunction(name = "SchedPoly")]
pub fn make_poly(
    start: &Bound<'_, PyAny>,
    end: &Bound<'_, PyAny>,
    power: &Bound<'_, PyAny>,
) -> PyResult<Schedule> {
    simple(Shape::Poly { power: number(power, "power")? }, start, end)
}

/// Return the schedule that runs `scheds` one after the other, each for its share of `pcts`.
#[pyfunction]
pub fn combine_scheds(pcts: &Bound<'_, PyAny>, scheds: &Bound<'_, PyAny>) -> PyResult<Schedule> {
    let pcts = sequence(pcts, "pcts")?;
    let parts = parts(scheds)?;
    lehr_core::Schedule::combine(pcts, parts).or_py().map(Schedule)
}

/// The phases of a combined schedule.
pub(crate) fn parts(scheds: &Bound<'_, PyAny>) -> PyResult<Vec<Part>> {
    let scheds = scheds.try_iter().map_err(|_| {
        PyTypeError::new_err(format!(
            "`scheds` must be a sequence of schedules, got {}",
            scheds.repr().map_or_else(|_| "an object".to_owned(), |shown| shown.to_string())
        ))
    })?;
    scheds.enumerate().map(|(i, item)| part(i, &item?)).collect()
}

fn part(index: usize, item: &Bound<'_, PyAny>) -> PyResult<Part> {
    if let Ok(schedule) = item.cast::<Schedule>() {
        return Ok(Part::Schedule(schedule.get().0.clone()));
    }
    if !item.is_callable() {
        return Err(PyTypeError::new_err(format!(
            "`scheds[{index}]` must be a schedule or a function of pos, got {}",
            item.repr()?
        )));
    }
    let groups: Option<usize> = match item.getattr_opt(intern!(item.py(), "_lehr_groups"))? {
        Some(groups) => groups.extract()?,
        None => None,
    };
    if groups == Some(0) {
        return Err(PyValueError::new_err(format!(
            "`scheds[{index}]` must have at least one parameter group, got {}",
            item.repr()?
        )));
    }
    Ok(Part::Custom(Arc::new(Callable { function: item.clone().unbind(), groups })))
}

/// Return the cosine from `start` to `middle` over the share `pct`, then on to `end`.
#[pyfunction]
pub fn combined_cos(
    pct: &Bound<'_, PyAny>,
    start: &Bound<'_, PyAny>,
    middle: &Bound<'_, PyAny>,
    end: &Bound<'_, PyAny>,
) -> PyResult<Schedule> {
    lehr_core::Schedule::combined_cos(
        number(pct, "pct")?,
        numbers(start, "start")?.into(),
        numbers(middle, "middle")?.into(),
        numbers(end, "end")?.into(),
    )
    .or_py()
    .map(Schedule)
}
