//! Reading one number or a sequence of them from any Python object (rule 6).

use lehr_core::Ends;
use numpy::{PyArray1, PyArrayMethods, PyUntypedArrayMethods};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{
    PyByteArray, PyBytes, PyComplex, PyDict, PyFloat, PyFrozenSet, PyInt, PySet, PyString,
};

/// One number, or several.
pub enum Numbers {
    /// Anything with `__float__`.
    One(f64),
    /// Any one-dimensional sequence, array or iterable.
    Many(Vec<f64>),
}

impl From<Numbers> for Ends {
    fn from(numbers: Numbers) -> Self {
        match numbers {
            Numbers::One(value) => Self::One(value),
            Numbers::Many(values) => Self::Many(values),
        }
    }
}

/// Read `value`; errors name it `name`.
pub fn numbers(value: &Bound<'_, PyAny>, name: &str) -> PyResult<Numbers> {
    if value.is_instance_of::<PyFloat>() || value.is_instance_of::<PyInt>() {
        return number(value, name).map(Numbers::One);
    }
    let py = value.py();
    if let Ok(dimensions) = value.getattr(intern!(py, "ndim"))
        && !value.is_instance_of::<PyComplex>()
    {
        return array(value, &dimensions, name);
    }
    let refused = value.is_instance_of::<PyComplex>()
        || value.is_instance_of::<PyString>()
        || value.is_instance_of::<PyBytes>()
        || value.is_instance_of::<PyByteArray>()
        || value.is_instance_of::<PyDict>()
        || value.is_instance_of::<PySet>()
        || value.is_instance_of::<PyFrozenSet>();
    if !refused && value.hasattr(intern!(py, "__float__"))? {
        return number(value, name).map(Numbers::One);
    }
    if !refused && value.try_iter().is_ok() {
        return items(value, name);
    }
    Err(PyTypeError::new_err(format!(
        "`{name}` must be a number or a one-dimensional sequence of numbers, got {}",
        describe(value)
    )))
}

/// Read an iterable, item by item.
fn items(value: &Bound<'_, PyAny>, name: &str) -> PyResult<Numbers> {
    value
        .try_iter()?
        .enumerate()
        .map(|(index, item)| number(&item?, &format!("{name}[{index}]")))
        .collect::<PyResult<_>>()
        .map(Numbers::Many)
}

/// Read several numbers; a single one is an error.
pub fn sequence(value: &Bound<'_, PyAny>, name: &str) -> PyResult<Vec<f64>> {
    match numbers(value, name)? {
        Numbers::Many(values) => Ok(values),
        Numbers::One(number) => Err(PyTypeError::new_err(format!(
            "`{name}` must be a one-dimensional sequence of numbers, got {number:?}"
        ))),
    }
}

/// Read one number from an object with `__float__`.
pub fn number(value: &Bound<'_, PyAny>, name: &str) -> PyResult<f64> {
    let py = value.py();
    // A tensor that wants a gradient warns when it is read as a number.
    let detached = if value.is_instance_of::<PyFloat>() {
        None
    } else {
        value.getattr_opt(intern!(py, "detach"))?.map(|detach| detach.call0()).transpose()?
    };
    let value = detached.as_ref().unwrap_or(value);
    value.extract::<f64>().map_err(|error| {
        let message = format!("`{name}` must be a number, got {}", describe(value));
        let wrong = if value.is_instance_of::<PyInt>() {
            PyValueError::new_err(format!("{message}: too large for float64"))
        } else if error.is_instance_of::<PyTypeError>(py)
            || error.is_instance_of::<PyValueError>(py)
        {
            PyTypeError::new_err(message)
        } else {
            return error;
        };
        wrong.set_cause(py, Some(error));
        wrong
    })
}

/// Read a Python integer of any size.
pub fn integer<'py>(value: &Bound<'py, PyAny>, name: &str) -> PyResult<Bound<'py, PyAny>> {
    let py = value.py();
    py.import(intern!(py, "operator"))?.call_method1(intern!(py, "index"), (value,)).map_err(|_| {
        PyTypeError::new_err(format!("`{name}` must be an integer, got {}", describe(value)))
    })
}

/// Read a numpy array, a tensor, or anything else that has `ndim`.
fn array(value: &Bound<'_, PyAny>, dimensions: &Bound<'_, PyAny>, name: &str) -> PyResult<Numbers> {
    let py = value.py();
    if let Ok(floats) = value.cast::<PyArray1<f64>>() {
        return Ok(Numbers::Many(copy(floats)?));
    }
    match dimensions.extract::<usize>()? {
        0 => number(value, name).map(Numbers::One),
        1 => {
            if let Some(detach) = value.getattr_opt(intern!(py, "detach"))? {
                return tensor(&detach.call0()?, value, name);
            }
            let numpy = py.import(intern!(py, "numpy"))?;
            let raw = numpy.call_method1(intern!(py, "asarray"), (value,))?;
            let kind: char = raw.getattr(intern!(py, "dtype"))?.getattr("kind")?.extract()?;
            if kind == 'O' {
                return items(&raw, name);
            }
            if !"biuf".contains(kind) {
                return Err(not_real(value, name));
            }
            let floats =
                numpy.call_method1(intern!(py, "asarray"), (raw, "float64")).map_err(|error| {
                    let wrong = not_real(value, name);
                    wrong.set_cause(py, Some(error));
                    wrong
                })?;
            let floats = floats.cast::<PyArray1<f64>>().map_err(PyErr::from)?;
            Ok(Numbers::Many(copy(floats)?))
        }
        n => Err(PyValueError::new_err(format!(
            "`{name}` must be a number or one-dimensional, got {n} dimensions"
        ))),
    }
}

/// Read a tensor of one dimension, in float64 (numpy has no bfloat16) and on the CPU.
fn tensor(detached: &Bound<'_, PyAny>, value: &Bound<'_, PyAny>, name: &str) -> PyResult<Numbers> {
    let py = value.py();
    if detached.call_method0(intern!(py, "is_complex"))?.is_truthy()? {
        return Err(not_real(value, name));
    }
    // First to the CPU: some devices have no float64.
    let on_cpu = detached.call_method0(intern!(py, "cpu"))?;
    let floats = on_cpu.call_method0(intern!(py, "double"))?.call_method0(intern!(py, "numpy"))?;
    Ok(Numbers::Many(copy(floats.cast::<PyArray1<f64>>()?)?))
}

/// The values of a float64 array: one block copy where they lie side by side.
fn copy(floats: &Bound<'_, PyArray1<f64>>) -> PyResult<Vec<f64>> {
    if !floats.as_untyped().is_aligned() {
        // A field of a record, or a view into bytes: its floats lie where Rust can read none.
        let aligned = floats.call_method0("copy")?;
        return copy(aligned.cast()?);
    }
    let floats = floats.try_readonly()?;
    Ok(floats.as_slice().map_or_else(|_| floats.as_array().to_vec(), <[f64]>::to_vec))
}

fn not_real(value: &Bound<'_, PyAny>, name: &str) -> PyErr {
    PyTypeError::new_err(format!("`{name}` must hold real numbers, got {}", describe(value)))
}

/// A short account of a value: what it is and what it shows.
pub fn describe(value: &Bound<'_, PyAny>) -> String {
    let kind = value.get_type().name().map_or_else(|_| "object".to_owned(), |n| n.to_string());
    if value.is_none() {
        return "None".to_owned();
    }
    match value.repr() {
        Ok(shown) => {
            let shown = shown.to_string();
            let short: String = shown.chars().take(60).collect();
            let dots = if short.len() < shown.len() { "..." } else { "" };
            format!("{short}{dots} ({kind})")
        }
        Err(_) => kind,
    }
}
