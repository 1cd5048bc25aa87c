//! `Schedule.at` as a one-argument C method: the cheapest call there is (`METH_O`).
//!
//! The binding's own methods parse an argument list and count the attachment, which costs more
//! than a cosine. This file, `writer.rs` and `stepper.rs` are the places of the crate with unsafe code;
//! what it rests on stands beside each use. `docs/design/2026-11-22-call-cost.md` has the figures.
#![expect(unsafe_code, reason = "PyO3 makes no METH_O methods")]

use std::panic::{AssertUnwindSafe, catch_unwind};

use pyo3::exceptions::PyRuntimeError;
use pyo3::ffi;
use pyo3::prelude::*;

use crate::schedule::Schedule;

const DOC: &std::ffi::CStr = c"at($self, pos, /)
--

Return the value at a position; `schedule(pos)` is the same, `at` the cheaper call.";

/// Give `Schedule` its method `at`.
pub fn install(py: Python<'_>) -> PyResult<()> {
    let schedule = py.get_type::<Schedule>();
    // Lives as long as the process, as is asked of a method definition.
    let definition = Box::leak(Box::new(ffi::PyMethodDef {
        ml_name: c"at".as_ptr(),
        ml_meth: ffi::PyMethodDefPointer { PyCFunction: at },
        ml_flags: ffi::METH_O,
        ml_doc: DOC.as_ptr(),
    }));
    // SAFETY: both pointers are valid, and the result is a new reference or null with an error.
    let method = unsafe {
        let method = ffi::PyDescr_NewMethod(schedule.as_type_ptr(), definition);
        Bound::from_owned_ptr_or_err(py, method)?
    };
    schedule.setattr("at", method)
}

/// `Schedule.at(self, pos)`: a method descriptor has checked that `slf` is a `Schedule`.
unsafe extern "C" fn at(slf: *mut ffi::PyObject, pos: *mut ffi::PyObject) -> *mut ffi::PyObject {
    // SAFETY: the interpreter calls a method attached to the interpreter, with references that live as
    // long as the call; `slf` is a `Schedule`, which is frozen, so a shared reference is sound.
    unsafe {
        let py = Python::assume_attached();
        let schedule = Borrowed::from_ptr(py, slf).cast_unchecked::<Schedule>();
        if ffi::PyFloat_CheckExact(pos) != 0
            && let Some(value) = schedule.get().0.at_inside(ffi::PyFloat_AsDouble(pos))
        {
            return ffi::PyFloat_FromDouble(value);
        }
        anything_else(slf, pos)
    }
}

/// Positions outside `[0, 1]`, sequences, groups, errors.
#[cold]
unsafe fn anything_else(slf: *mut ffi::PyObject, pos: *mut ffi::PyObject) -> *mut ffi::PyObject {
    Python::attach(|py| {
        // SAFETY: as in `at`.
        let (schedule, pos) = unsafe {
            (Borrowed::from_ptr(py, slf).cast_unchecked::<Schedule>(), Borrowed::from_ptr(py, pos))
        };
        // No panic may cross into C.
        let result = catch_unwind(AssertUnwindSafe(|| schedule.get().evaluate(py, &pos)))
            .unwrap_or_else(|_| Err(PyRuntimeError::new_err("evaluating the schedule panicked")));
        match result {
            Ok(value) => value.into_ptr(),
            Err(error) => {
                error.restore(py);
                std::ptr::null_mut()
            }
        }
    })
}
