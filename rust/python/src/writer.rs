//! The one writer of hyper-parameters (rule 12): everything that changes a value in a torch
//! group goes through [`Place::put`].
#![expect(unsafe_code, reason = "the short way, at every step: safe calls cost as much again")]

use pyo3::exceptions::PyTypeError;
use pyo3::ffi;
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyFloat, PyList, PyString, PyTuple};

use crate::numbers::describe;

/// Where a hyper-parameter is in a group: its key, and its index where the key holds a tuple.
pub struct Place {
    pub key: Py<PyString>,
    pub index: Option<usize>,
}

/// What is known of a value as it goes from group to group.
#[derive(Default)]
pub struct Pending<'py> {
    /// The last pair that was rebuilt, and its successor: groups that share one share the other.
    rebuilt: Option<(Bound<'py, PyAny>, Bound<'py, PyAny>)>,
    /// The value that the first group should hold, until it is looked at.
    expected: Option<f64>,
    /// Whether it held another: something else writes.
    pub others: bool,
}

impl Pending<'_> {
    /// A value that takes the place of `expected`, or of anything where that is not a number.
    #[inline]
    pub fn new(expected: f64) -> Self {
        Self { expected: (!expected.is_nan()).then_some(expected), ..Self::default() }
    }

    /// Look at the float that the first group holds.
    ///
    /// # Safety
    /// `held` is a float, and the interpreter is attached.
    #[inline]
    unsafe fn look(&mut self, held: *mut ffi::PyObject) {
        if let Some(expected) = self.expected.take() {
            self.others = unsafe { ffi::PyFloat_AsDouble(held) } != expected;
        }
    }
}

impl Place {
    fn get<'py>(&self, group: &Bound<'py, PyDict>) -> PyResult<Bound<'py, PyAny>> {
        let py = group.py();
        group.get_item(self.key.bind(py))?.ok_or_else(|| {
            pyo3::exceptions::PyKeyError::new_err(format!(
                "`{}` is no longer in a group of the optimizer",
                self.key
            ))
        })
    }

    /// Raise `TypeError` where a group holds no number here.
    fn check(&self, group: &Bound<'_, PyDict>, name: &str) -> PyResult<()> {
        let held = self.get(group)?;
        let number = match self.index {
            None => held,
            Some(index) => held.get_item(index)?,
        };
        if is_number(&number)? {
            return Ok(());
        }
        Err(PyTypeError::new_err(format!(
            "`{name}` is {} in this optimizer, which is no number to schedule",
            number.repr()?
        )))
    }

    /// Whether every group holds a float here.
    fn all_floats(&self, groups: &Bound<'_, PyList>) -> PyResult<bool> {
        for group in groups {
            match group.cast::<PyDict>()?.get_item(self.key.bind(groups.py()))? {
                Some(held) if held.is_exact_instance_of::<PyFloat>() => {}
                _ => return Ok(false),
            }
        }
        Ok(true)
    }

    /// Set the value in a group: fill a tensor, rebuild a tuple, store a float otherwise.
    #[inline]
    pub fn put<'py>(
        &self,
        group: &Bound<'py, PyDict>,
        value: &Bound<'py, PyFloat>,
        pending: &mut Pending<'py>,
    ) -> PyResult<()> {
        match self.short(group, value, pending) {
            Some(done) => done,
            // A reference of its own: the group may be borrowed.
            None => self.put_other(&group.clone(), value),
        }
    }

    /// The short way, for a float, or a pair of which one is a float: `None` for all else.
    #[inline]
    fn short<'py>(
        &self,
        group: &Bound<'py, PyDict>,
        value: &Bound<'py, PyFloat>,
        pending: &mut Pending<'py>,
    ) -> Option<PyResult<()>> {
        let py = group.py();
        let (group, key) = (group.as_ptr(), self.key.as_ptr());
        // SAFETY: attached, and the dictionary, the key and the value live on. What is borrowed is
        // used before the dictionary changes: reading and making a pair run no Python code.
        unsafe {
            let held = ffi::PyDict_GetItemWithError(group, key);
            if held.is_null() {
                // The long way says what is wrong.
                ffi::PyErr_Clear();
                return None;
            }
            let new = match self.index {
                None if ffi::PyFloat_CheckExact(held) != 0 => {
                    pending.look(held);
                    value.as_ptr()
                }
                None => return None,
                Some(index) => match &pending.rebuilt {
                    Some((before, after)) if before.as_ptr() == held => after.as_ptr(),
                    _ => {
                        let index = isize::try_from(index).ok().filter(|index| *index < 2)?;
                        if ffi::PyTuple_CheckExact(held) == 0 || ffi::PyTuple_Size(held) != 2 {
                            return None;
                        }
                        let current = ffi::PyTuple_GetItem(held, index);
                        if ffi::PyFloat_CheckExact(current) == 0 {
                            return None;
                        }
                        pending.look(current);
                        let other = ffi::PyTuple_GetItem(held, 1 - index);
                        let pair = ffi::PyTuple_New(2);
                        if pair.is_null() {
                            return Some(Err(PyErr::fetch(py)));
                        }
                        // A new tuple takes over the references.
                        ffi::PyTuple_SetItem(pair, index, ffi::Py_NewRef(value.as_ptr()));
                        ffi::PyTuple_SetItem(pair, 1 - index, ffi::Py_NewRef(other));
                        let pair = Bound::from_owned_ptr(py, pair);
                        let new = pair.as_ptr();
                        pending.rebuilt = Some((Bound::from_borrowed_ptr(py, held), pair));
                        new
                    }
                },
            };
            if ffi::PyDict_SetItem(group, key, new) == 0 {
                Some(Ok(()))
            } else {
                Some(Err(PyErr::fetch(py)))
            }
        }
    }

    /// The long way: any value.
    #[cold]
    fn put_other(&self, group: &Bound<'_, PyDict>, value: &Bound<'_, PyFloat>) -> PyResult<()> {
        let py = group.py();
        let key = self.key.bind(py);
        let held = self.get(group)?;
        let Some(index) = self.index else {
            return if fill(&held, value)? { Ok(()) } else { group.set_item(key, value) };
        };
        if fill(&held.get_item(index)?, value)? {
            return Ok(());
        }
        let items = PyList::new(py, held.try_iter()?.collect::<PyResult<Vec<_>>>()?)?;
        items.set_item(index, value)?;
        group.set_item(key, held.get_type().call1((items,))?)
    }
}

/// Fill a tensor in place; `false` where `held` is none.
fn fill(held: &Bound<'_, PyAny>, value: &Bound<'_, PyFloat>) -> PyResult<bool> {
    let py = held.py();
    match held.getattr_opt(intern!(py, "fill_"))? {
        Some(fill) => fill.call1((value,)).map(|_| true),
        None => Ok(false),
    }
}

/// Whether a value of a group can be scheduled: no flag, tuple, text or `None`.
fn is_number(value: &Bound<'_, PyAny>) -> PyResult<bool> {
    Ok(!value.is_instance_of::<PyBool>() && value.hasattr(intern!(value.py(), "__float__"))?)
}

/// One value for one place in one group.
#[derive(FromPyObject)]
pub struct Write<'py>(Bound<'py, PyDict>, Py<PyString>, Option<usize>, f64);

/// Set the hyper-parameter `name` in groups, in all of them or in none.
#[pyfunction]
pub fn write_hyper(name: &str, writes: Vec<Write<'_>>) -> PyResult<()> {
    let writes: Vec<_> = writes
        .into_iter()
        .map(|Write(group, key, index, value)| (group, Place { key, index }, value))
        .collect();
    for (group, place, _) in &writes {
        place.check(group, name)?;
    }
    for (group, place, value) in &writes {
        let value = PyFloat::new(group.py(), *value);
        place.put(group, &value, &mut Pending::default())?;
    }
    Ok(())
}

/// A group, borrowed from the list for one call of [`Place::put`].
#[inline]
pub fn group_at<'a, 'py>(
    groups: &'a Bound<'py, PyList>,
    index: usize,
) -> PyResult<Borrowed<'a, 'py, PyDict>> {
    let py = groups.py();
    // SAFETY: attached. The list holds the group until Python code runs, which happens in
    // `put_other` alone; that one takes a reference of its own first.
    let group = unsafe {
        let group = ffi::PyList_GetItem(groups.as_ptr(), index.cast_signed());
        Borrowed::from_ptr_or_err(py, group)?
    };
    group.cast::<PyDict>().map_err(PyErr::from)
}

/// Whether the list holds the groups of these addresses, in this order.
#[inline]
pub fn same_groups(groups: &Bound<'_, PyList>, known: &[usize]) -> bool {
    groups.len() == known.len()
        && known.iter().enumerate().all(|(index, known)| {
            // SAFETY: attached; the pointer is compared, not followed.
            let group = unsafe { ffi::PyList_GetItem(groups.as_ptr(), index.cast_signed()) };
            group.addr() == *known
        })
}

/// The groups of an optimizer, fetched afresh: loading its state replaces them.
#[inline]
pub fn groups_of<'py>(optimizer: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyList>> {
    let groups = optimizer.getattr(intern!(optimizer.py(), "param_groups"))?;
    groups.cast_into::<PyList>().map_err(|error| {
        PyTypeError::new_err(format!(
            "the optimizer's `param_groups` must be a list, got {}",
            describe(&error.into_inner())
        ))
    })
}

/// Writes hyper-parameters that are floats, one value each to all groups, often.
#[pyclass(frozen, module = "lehr._core")]
pub struct Writer {
    optimizer: Py<PyAny>,
    places: Vec<(Py<PyString>, Place)>,
    otherwise: Py<PyAny>,
}

#[pymethods]
impl Writer {
    #[new]
    fn new(
        optimizer: Py<PyAny>,
        places: Vec<(Py<PyString>, Py<PyString>)>,
        otherwise: Py<PyAny>,
    ) -> Self {
        let places =
            places.into_iter().map(|(name, key)| (name, Place { key, index: None })).collect();
        Self { optimizer, places, otherwise }
    }

    /// Write a value for each hyper-parameter.
    #[pyo3(signature = (*values))]
    fn __call__(&self, values: &Bound<'_, PyTuple>) -> PyResult<()> {
        let py = values.py();
        if values.len() != self.places.len() {
            return Err(PyTypeError::new_err(format!(
                "there must be a value for each of {} hyper-parameters, got {}",
                self.places.len(),
                values.len()
            )));
        }
        let groups = groups_of(self.optimizer.bind(py))?;
        for ((name, place), value) in self.places.iter().zip(values) {
            match value.cast_exact::<PyFloat>() {
                Ok(value) if value.value().is_finite() && place.all_floats(&groups)? => {
                    for group in &groups {
                        place.put(group.cast::<PyDict>()?, value, &mut Pending::default())?;
                    }
                }
                _ => {
                    self.otherwise.call1(py, (name, value))?;
                }
            }
        }
        Ok(())
    }

    #[expect(clippy::needless_pass_by_value, reason = "the signature PyO3 asks for")]
    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.optimizer)?;
        visit.call(&self.otherwise)
    }
}
