//! The one writer of hyper-parameters (rule 12): everything that changes a value in a torch
//! group goes through [`put`].
#![expect(unsafe_code, reason = "the safe calls cost as much again")]

use pyo3::exceptions::PyTypeError;
use pyo3::ffi;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyFloat, PyList, PyString, PyTuple};

use crate::numbers::describe;

/// Where a hyper-parameter is in a group: its key, and its index where the key holds a tuple.
pub struct Place {
    pub key: Py<PyString>,
    pub index: Option<usize>,
}

/// The last tuple that was rebuilt: groups often share theirs, and then they share the new one.
#[derive(Default)]
pub struct Rebuilt<'py>(Option<(Bound<'py, PyTuple>, Bound<'py, PyTuple>)>);

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

    /// Set the value in a group: fill a tensor, rebuild a tuple, store a float otherwise.
    #[inline]
    pub fn put<'py>(
        &self,
        group: &Bound<'py, PyDict>,
        value: &Bound<'py, PyFloat>,
        rebuilt: &mut Rebuilt<'py>,
    ) -> PyResult<()> {
        let py = group.py();
        let key = self.key.bind(py);
        // SAFETY: attached, and all four are alive; what is borrowed from the dictionary is used
        // before anything can change it.
        unsafe {
            let held = ffi::PyDict_GetItemWithError(group.as_ptr(), key.as_ptr());
            let new = if held.is_null() {
                held
            } else if self.index.is_none() {
                if ffi::PyFloat_CheckExact(held) != 0 {
                    value.as_ptr()
                } else {
                    std::ptr::null_mut()
                }
            } else {
                match &rebuilt.0 {
                    Some((before, after)) if before.as_ptr() == held => after.as_ptr(),
                    _ => std::ptr::null_mut(),
                }
            };
            if !new.is_null() {
                if ffi::PyDict_SetItem(group.as_ptr(), key.as_ptr(), new) == 0 {
                    return Ok(());
                }
                return Err(PyErr::fetch(py));
            }
            if held.is_null()
                && let Some(error) = PyErr::take(py)
            {
                return Err(error);
            }
        }
        let held = self.get(group)?;
        match self.index {
            None if held.is_exact_instance_of::<PyFloat>() => group.set_item(key, value),
            None if fill(&held, value)? => Ok(()),
            None => group.set_item(key, value),
            Some(index) => self.put_inside(group, &held, index, value, rebuilt),
        }
    }

    fn put_inside<'py>(
        &self,
        group: &Bound<'py, PyDict>,
        held: &Bound<'py, PyAny>,
        index: usize,
        value: &Bound<'py, PyFloat>,
        rebuilt: &mut Rebuilt<'py>,
    ) -> PyResult<()> {
        let py = group.py();
        let key = self.key.bind(py);
        let Ok(tuple) = held.cast_exact::<PyTuple>() else {
            // A list, or a tuple of a class of its own.
            if fill(&held.get_item(index)?, value)? {
                return Ok(());
            }
            let items = PyList::new(py, held.try_iter()?.collect::<PyResult<Vec<_>>>()?)?;
            items.set_item(index, value)?;
            return group.set_item(key, held.get_type().call1((items,))?);
        };
        if let Some((before, after)) = &rebuilt.0
            && before.is(tuple)
        {
            return group.set_item(key, after);
        }
        let current = tuple.get_item(index)?;
        if !current.is_exact_instance_of::<PyFloat>() && fill(&current, value)? {
            return Ok(());
        }
        let after = if tuple.len() == 2 && index < 2 {
            let other = tuple.get_item(1 - index)?;
            let pair = if index == 0 { [value.as_any(), &other] } else { [&other, value.as_any()] };
            (pair[0], pair[1]).into_pyobject(py)?
        } else {
            let mut items: Vec<_> = tuple.iter().collect();
            items[index] = value.as_any().clone();
            PyTuple::new(py, items)?
        };
        group.set_item(key, &after)?;
        rebuilt.0 = Some((tuple.clone(), after));
        Ok(())
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
        place.put(group, &value, &mut Rebuilt::default())?;
    }
    Ok(())
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
