//! The rules by name: about one curve, and about many at once.

use lehr_core::suggest::{Asked, Lists, Method, Offsets, Questions, Steps, Values, by_run, many};
use lehr_core::sweep::Average;
use numpy::{IntoPyArray, PyArray1, PyArrayMethods, PyReadonlyArray1};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;

use crate::error::OrPy;
use crate::numbers::{number, sequence};

/// What a rule says: rate, point, reason, interval, status, signal-to-noise ratio.
type Answer = (f64, Option<(f64, f64)>, String, Option<(f64, f64)>, &'static str, f64);
type Array<'py, T> = Bound<'py, PyArray1<T>>;
type Slice<'py, T> = PyReadonlyArray1<'py, T>;

/// The statuses of rows, in the order of their codes.
const STATUSES: [&str; 4] = ["ok", "weak", "none", "bad"];

/// The names of all rules.
pub const METHODS: [&str; 8] = {
    let mut names = [""; 8];
    let mut index = 0;
    while index < 8 {
        names[index] = Method::ALL[index].name();
        index += 1;
    }
    names
};

/// Ask rules about one curve of raw losses.
#[pyfunction]
#[expect(clippy::needless_pass_by_value, reason = "Python hands arguments over")]
pub fn ask(
    lrs: &Bound<'_, PyAny>,
    losses: &Bound<'_, PyAny>,
    num_it: usize,
    methods: Vec<String>,
    steps: Option<&Bound<'_, PyAny>>,
    diverged: bool,
) -> PyResult<Vec<Answer>> {
    let py = lrs.py();
    let methods = named(&methods)?;
    let steps = steps.map(|steps| number(steps, "steps")).transpose()?;
    let (lrs, losses) = (sequence(lrs, "lrs")?, sequence(losses, "losses")?);
    Ok(py.detach(move || {
        let asked = Asked::new(&lrs, &losses, num_it, diverged);
        let answers = methods.into_iter().map(|method| asked.ask(method, steps));
        answers
            .map(|answer| {
                let (interval, status, snr) = answer
                    .judged
                    .map_or((None, "", f64::NAN), |it| (it.interval, it.status.name(), it.snr));
                (answer.lr, answer.point, answer.reason, interval, status, snr)
            })
            .collect()
    }))
}

/// The columns of answers: points, codes of statuses, bytes of reasons and where each ends, rates of
/// each method, then low, high, signal-to-noise ratio, agreement.
type Columns<'py> = (
    Array<'py, i64>,
    Array<'py, i8>,
    Array<'py, u8>,
    Array<'py, i64>,
    Vec<Array<'py, f64>>,
    [Array<'py, f64>; 4],
);

/// Ask rules about many curves: lists in `lrs` and `losses`, each as (values, offsets).
#[pyfunction]
#[pyo3(signature = (lrs, losses, valid, smoothing, num_it, diverged, methods, steps, threads))]
#[expect(clippy::too_many_arguments, reason = "the fields of a question")]
#[expect(clippy::needless_pass_by_value, reason = "Python hands arguments over")]
pub fn suggest_many<'py>(
    py: Python<'py>,
    lrs: (Bound<'py, PyAny>, Bound<'py, PyAny>),
    losses: (Bound<'py, PyAny>, Bound<'py, PyAny>),
    valid: Option<Slice<'py, bool>>,
    smoothing: Option<&str>,
    num_it: Slice<'py, i64>,
    diverged: Option<Slice<'py, bool>>,
    methods: Vec<String>,
    steps: Option<&Bound<'py, PyAny>>,
    threads: usize,
) -> PyResult<Columns<'py>> {
    let (lrs, losses) = (Column::read(&lrs)?, Column::read(&losses)?);
    let methods = named(&methods)?;
    let questions = Questions {
        lrs: lrs.lists()?,
        losses: losses.lists()?,
        valid: valid.as_ref().map(|valid| valid.as_slice()).transpose()?,
        smoothing: smoothing.map(Average::from_name).transpose().or_py()?,
        num_it: num_it.as_slice()?,
        diverged: diverged.as_ref().map(|diverged| diverged.as_slice()).transpose()?,
        methods: &methods,
        steps: steps.map(|steps| number(steps, "steps")).transpose()?,
    };
    let found = py.detach(|| many(&questions, threads)).or_py()?;
    let code = |status: &&str| STATUSES.iter().zip(0..).find(|(one, _)| *one == status);
    let codes: Vec<i8> =
        found.status.iter().map(|status| code(status).map_or(3, |(_, code)| code)).collect();
    Ok((
        found.points.into_pyarray(py),
        codes.into_pyarray(py),
        found.reasons.into_bytes().into_pyarray(py),
        found.reason_ends.into_pyarray(py),
        found.lrs.into_iter().map(|column| column.into_pyarray(py)).collect(),
        [found.low, found.high, found.snr, found.agreement].map(|column| column.into_pyarray(py)),
    ))
}

/// What orders the rows of a run.
#[derive(FromPyObject)]
pub enum Order<'py> {
    Integers(Slice<'py, i64>),
    Floats(Slice<'py, f64>),
}

/// Return the order of rows by run and step, `None` where they lie so, and where each run begins.
#[pyfunction]
#[pyo3(signature = (codes, runs, steps = None))]
#[expect(clippy::needless_pass_by_value, reason = "Python hands arguments over")]
pub fn order_by_run<'py>(
    py: Python<'py>,
    codes: Slice<'py, i32>,
    runs: usize,
    steps: Option<Order<'py>>,
) -> PyResult<(Option<Array<'py, i64>>, Array<'py, i64>)> {
    let codes = codes.as_slice()?;
    let steps = match &steps {
        None => None,
        Some(Order::Integers(steps)) => Some(Steps::I64(steps.as_slice()?)),
        Some(Order::Floats(steps)) => Some(Steps::F64(steps.as_slice()?)),
    };
    let (order, offsets) = py.detach(|| by_run(codes, runs, steps)).or_py()?;
    Ok((order.map(|order| order.into_pyarray(py)), offsets.into_pyarray(py)))
}

fn named(methods: &[String]) -> PyResult<Vec<Method>> {
    methods.iter().map(|name| Method::from_name(name)).collect::<lehr_core::Result<_>>().or_py()
}

/// The arrays of a column of lists, held while they are read.
struct Column<'py> {
    values: Numbers<'py>,
    offsets: Indices<'py>,
}

enum Numbers<'py> {
    F32(Slice<'py, f32>),
    F64(Slice<'py, f64>),
}

enum Indices<'py> {
    I32(Slice<'py, i32>),
    I64(Slice<'py, i64>),
}

impl<'py> Column<'py> {
    fn read((values, offsets): &(Bound<'py, PyAny>, Bound<'py, PyAny>)) -> PyResult<Self> {
        let values = if let Ok(values) = values.cast::<PyArray1<f64>>() {
            Numbers::F64(values.try_readonly()?)
        } else if let Ok(values) = values.cast::<PyArray1<f32>>() {
            Numbers::F32(values.try_readonly()?)
        } else {
            return Err(PyTypeError::new_err("the values of lists must be float32 or float64"));
        };
        let offsets = if let Ok(offsets) = offsets.cast::<PyArray1<i32>>() {
            Indices::I32(offsets.try_readonly()?)
        } else if let Ok(offsets) = offsets.cast::<PyArray1<i64>>() {
            Indices::I64(offsets.try_readonly()?)
        } else {
            return Err(PyTypeError::new_err("the offsets of lists must be int32 or int64"));
        };
        Ok(Self { values, offsets })
    }

    fn lists(&self) -> PyResult<Lists<'_>> {
        let values = match &self.values {
            Numbers::F32(values) => Values::F32(values.as_slice()?),
            Numbers::F64(values) => Values::F64(values.as_slice()?),
        };
        let offsets = match &self.offsets {
            Indices::I32(offsets) => Offsets::I32(offsets.as_slice()?),
            Indices::I64(offsets) => Offsets::I64(offsets.as_slice()?),
        };
        Lists::new(values, offsets).or_py()
    }
}
