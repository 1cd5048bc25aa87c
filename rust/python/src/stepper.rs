//! What a `Scheduler` does at every step: values of schedules into the groups of an optimizer.
#![expect(unsafe_code, reason = "a lock and a shared count cost a tenth of a step")]

use std::cell::UnsafeCell;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering::Relaxed};

use numpy::{IntoPyArray, PyArray1};
use pyo3::exceptions::{PyException, PyRuntimeError};
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyFloat, PyList, PyString};

use crate::error::OrPy;
use crate::schedule::Schedule;
use crate::writer::{Pending, Place, group_at, groups_of, same_groups};

/// A schedule laid on the steps of a training.
#[pyclass(frozen, module = "lehr._core")]
pub struct Laid {
    schedule: Py<Schedule>,
    laid: lehr_core::plan::Laid,
}

#[pymethods]
impl Laid {
    #[new]
    #[pyo3(signature = (schedule, steps, begin = 0, factor = 1.0, floor = 0.0, times = 1.0))]
    fn new(
        schedule: Py<Schedule>,
        steps: u64,
        begin: u64,
        factor: f64,
        floor: f64,
        times: f64,
    ) -> PyResult<Self> {
        let laid = lehr_core::plan::Laid::new(begin, steps, factor, floor, times).or_py()?;
        Ok(Self { schedule, laid })
    }

    #[getter]
    fn groups(&self) -> Option<usize> {
        self.schedule.get().0.groups()
    }

    /// The values at a step, one or one a group.
    fn at(&self, step: u64) -> PyResult<Vec<f64>> {
        self.laid.at(&self.schedule.get().0, step).or_py()
    }

    /// The values at every `every`th step from `first` up to `last`, those of the groups side by
    /// side.
    #[pyo3(signature = (first, last, every = 1))]
    fn values<'py>(
        &self,
        py: Python<'py>,
        first: u64,
        last: u64,
        every: usize,
    ) -> PyResult<Bound<'py, PyArray1<f64>>> {
        Ok(self.laid.values(&self.schedule.get().0, first, last, every).or_py()?.into_pyarray(py))
    }

    #[expect(clippy::needless_pass_by_value, reason = "the signature PyO3 asks for")]
    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.schedule)
    }
}

impl Laid {
    #[inline]
    fn one(&self, step: u64) -> Option<f64> {
        self.laid.one(&self.schedule.get().0, step)
    }
}

/// What one schedule writes: to which place of which groups.
struct Line {
    laid: Py<Laid>,
    place: Place,
    groups: Vec<usize>,
    /// Whether those are all.
    everywhere: bool,
    /// The bits of the value written last, of NaN before.
    written: AtomicU64,
}

/// Hyper-parameters that are written together: more of them take turns.
const TOGETHER: usize = 4;

/// What is written at a step.
#[derive(Default)]
struct Plan {
    /// The groups it was made for, by their addresses.
    groups: Vec<usize>,
    lines: Vec<Line>,
    /// Whether there is more to do than writing.
    more: bool,
}

/// One line as Python gives it: the schedule, the key, the index, the groups.
#[derive(FromPyObject)]
struct GivenLine(Py<Laid>, Py<PyString>, Option<usize>, Vec<usize>);

/// Counts steps and writes the values of each.
///
/// `attend(what, value)` is called where more is to be done than writing: "move", a step to move
/// to where the groups are others than planned, or the plan has more; "watch", the number of
/// optimizer steps since the last step, at step 0 and wherever that is not 1, while it is asked to
/// watch; "end", at a step beyond the end; "others", once it has written over what something else wrote; "still", whether a step of
/// the optimizer at rate 0 was one; "epoch", the argument of `step`.
#[pyclass(frozen, module = "lehr._core")]
pub struct Stepper {
    optimizer: Py<PyAny>,
    attend: Py<PyAny>,
    /// Whether the optimizer's steps are counted, not the calls of `step`.
    by_optimizer: bool,
    step: AtomicI64,
    /// Steps the optimizer took, in all and up to the last call of `step`.
    taken: AtomicU64,
    seen: AtomicU64,
    watching: AtomicBool,
    /// Whether something else is known to write.
    others: AtomicBool,
    /// The step at which the schedules end.
    end: AtomicI64,
    /// Whether it is writing now.
    writing: AtomicBool,
    /// Whether steps are neither written for nor counted.
    paused: AtomicBool,
    plan: Current,
}

/// The plan in force. Only threads that are attached to the interpreter touch it, and the module
/// declares that it uses the GIL: so neither a lock nor an atomic count is needed.
#[derive(Default)]
struct Current(UnsafeCell<Rc<Plan>>);

// SAFETY: as above; a `Stepper` is read, changed and dropped by attached threads alone.
unsafe impl Send for Current {}
unsafe impl Sync for Current {}

impl Current {
    /// The plan, kept alive while it is used: what is written may lay another one.
    #[inline]
    fn get(&self, _py: Python<'_>) -> Rc<Plan> {
        // SAFETY: attached, and the reference ends here.
        unsafe { (*self.0.get()).clone() }
    }

    fn replace(&self, _py: Python<'_>, plan: Plan) -> Rc<Plan> {
        // SAFETY: attached, and no reference into the cell outlives a call.
        unsafe { std::mem::replace(&mut *self.0.get(), Rc::new(plan)) }
    }
}

#[pymethods]
impl Stepper {
    #[new]
    fn new(optimizer: Py<PyAny>, attend: Py<PyAny>, by_optimizer: bool) -> Self {
        Self {
            optimizer,
            attend,
            by_optimizer,
            step: AtomicI64::new(0),
            taken: AtomicU64::new(0),
            seen: AtomicU64::new(0),
            watching: AtomicBool::new(true),
            others: AtomicBool::new(false),
            end: AtomicI64::new(i64::MAX),
            writing: AtomicBool::new(false),
            paused: AtomicBool::new(false),
            plan: Current::default(),
        }
    }

    /// Plan what is written, in an optimizer of so many groups.
    fn lay(&self, groups: &Bound<'_, PyList>, lines: Vec<GivenLine>, more: bool) {
        let py = groups.py();
        let lines = lines
            .into_iter()
            .map(|GivenLine(laid, key, index, indices)| Line {
                laid,
                place: Place { key, index },
                everywhere: indices.len() == groups.len(),
                groups: indices,
                written: AtomicU64::new(f64::NAN.to_bits()),
            })
            .collect();
        let groups = groups.iter().map(|group| group.as_ptr().addr()).collect();
        // Dropped when it is out of the cell: what it holds may run Python code as it goes.
        drop(self.plan.replace(py, Plan { groups, lines, more }));
    }

    /// The step whose values are in force.
    #[getter]
    fn get_current(&self) -> i64 {
        self.step.load(Relaxed)
    }

    /// Be at a step: what the optimizer did until now is not looked at.
    #[setter]
    fn set_current(&self, step: i64) {
        self.step.store(step, Relaxed);
        self.seen.store(self.taken.load(Relaxed), Relaxed);
    }

    /// Let `step` ask `attend` what to make of the optimizer's steps.
    fn watch(&self, watch: bool) {
        self.watching.store(watch, Relaxed);
    }

    /// Whether steps are neither written for nor counted.
    #[getter]
    fn get_paused(&self) -> bool {
        self.paused.load(Relaxed)
    }

    #[setter]
    fn set_paused(&self, paused: bool) {
        self.paused.store(paused, Relaxed);
    }

    /// The step at which the schedules end: the first one beyond it asks `attend`.
    #[setter]
    fn set_end(&self, end: i64) {
        self.end.store(end, Relaxed);
    }

    /// Steps the optimizer took since the last one that was written for.
    #[getter]
    fn fresh(&self) -> u64 {
        self.taken.load(Relaxed) - self.seen.load(Relaxed)
    }

    /// Whether the optimizer has other groups than planned for, or has them in another order.
    #[getter]
    fn stale(&self, py: Python<'_>) -> PyResult<bool> {
        Ok(!self.plan.get(py).fits(&groups_of(self.optimizer.bind(py))?))
    }

    /// Go to the next step and write its values.
    #[pyo3(signature = (epoch = None))]
    fn step(&self, py: Python<'_>, epoch: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
        if self.by_optimizer || self.paused.load(Relaxed) {
            return Ok(());
        }
        if let Some(epoch) = epoch {
            return self.attend(py, intern!(py, "epoch"), epoch);
        }
        let taken = self.taken.load(Relaxed);
        let fresh = taken - self.seen.load(Relaxed);
        self.seen.store(taken, Relaxed);
        let current = self.step.load(Relaxed);
        if (fresh != 1 || current == 0) && self.watching.load(Relaxed) {
            self.attend(py, intern!(py, "watch"), fresh)?;
        }
        self.advance(py)
    }

    /// Hear that the optimizer took a step.
    #[pyo3(signature = (optimizer, args, kwargs))]
    fn took(
        &self,
        py: Python<'_>,
        optimizer: &Bound<'_, PyAny>,
        args: &Bound<'_, PyAny>,
        kwargs: &Bound<'_, PyAny>,
    ) -> PyResult<()> {
        let _ = (args, kwargs);
        if self.paused.load(Relaxed) {
            return Ok(());
        }
        // torch's checkpoints take a step at rate 0 to make an optimizer's state.
        let groups = groups_of(self.optimizer.bind(py))?;
        if let Ok(group) = groups.get_item(0)
            && let Some(rate) = group.cast::<PyDict>()?.get_item(intern!(py, "lr"))?
            && rate.cast_exact::<PyFloat>().is_ok_and(|rate| rate.value() != 0.0)
        {
        } else if self.attend.call1(py, (intern!(py, "still"), 0))?.is_truthy(py)? {
            return Ok(());
        }
        if !self.by_optimizer {
            self.taken.fetch_add(1, Relaxed);
            return Ok(());
        }
        // A scaler calls a fused optimizer all the same, and tells it to do nothing.
        let attributes = optimizer.getattr(intern!(py, "__dict__"))?;
        if let Ok(Some(found)) = attributes.cast::<PyDict>()?.get_item(intern!(py, "found_inf"))
            && !found.is_none()
            && found.call_method0(intern!(py, "item"))?.is_truthy()?
        {
            return Ok(());
        }
        if self.step.load(Relaxed) == 0 && self.watching.load(Relaxed) {
            self.attend(py, intern!(py, "watch"), 1)?;
        }
        self.advance(py)
    }

    /// Write the values of a step, and say nothing of it.
    fn write(&self, py: Python<'_>, step: i64) -> PyResult<()> {
        let groups = groups_of(self.optimizer.bind(py))?;
        self.guarded(|| self.plan.get(py).write(py, &groups, step)).map(|_| ())
    }

    #[expect(clippy::needless_pass_by_value, reason = "the signature PyO3 asks for")]
    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.optimizer)?;
        visit.call(&self.attend)?;
        // SAFETY: the collector runs attached, and changes nothing here.
        let plan = unsafe { &*self.plan.0.get() };
        plan.lines.iter().try_for_each(|line| visit.call(&line.laid))
    }
}

impl Stepper {
    #[cold]
    fn attend<'py>(
        &self,
        py: Python<'py>,
        what: &Bound<'py, PyString>,
        value: impl IntoPyObject<'py>,
    ) -> PyResult<()> {
        self.attend.call1(py, (what, value)).map(|_| ())
    }

    /// Write, unless what is written writes itself: a tensor may run anything when it is filled.
    #[inline]
    fn guarded<T>(&self, write: impl FnOnce() -> PyResult<T>) -> PyResult<T> {
        if self.writing.load(Relaxed) {
            return Err(PyRuntimeError::new_err(
                "the Scheduler was moved by what it was writing to: a tensor's `fill_`",
            ));
        }
        self.writing.store(true, Relaxed);
        let result = write();
        self.writing.store(false, Relaxed);
        result
    }

    #[inline]
    fn advance(&self, py: Python<'_>) -> PyResult<()> {
        let current = self.step.load(Relaxed);
        let next = current.saturating_add(1);
        if next > self.end.load(Relaxed) {
            self.attend(py, intern!(py, "end"), next)?;
        }
        let groups = groups_of(self.optimizer.bind(py))?;
        let plan = self.plan.get(py);
        if plan.more || !plan.fits(&groups) {
            return self.attend(py, intern!(py, "move"), next);
        }
        let others = self.guarded(|| match plan.write(py, &groups, next) {
            Err(error) => {
                // What was written before the error: nothing is left half-changed.
                let restored = plan.write(py, &groups, current);
                if let Err(worse) = restored
                    && !worse.is_instance_of::<PyException>(py)
                {
                    return Err(worse);
                }
                Err(error)
            }
            others => others,
        })?;
        self.step.store(next, Relaxed);
        if others && !self.others.swap(true, Relaxed) {
            return self.attend(py, intern!(py, "others"), next);
        }
        Ok(())
    }
}

impl Plan {
    /// Whether these are the groups it was made for.
    #[inline]
    fn fits(&self, groups: &Bound<'_, PyList>) -> bool {
        same_groups(groups, &self.groups)
    }

    /// Write the values of a step; return whether the first group held others than were written.
    #[inline]
    fn write<'py>(
        &self,
        py: Python<'py>,
        groups: &Bound<'py, PyList>,
        step: i64,
    ) -> PyResult<bool> {
        let step = step.max(0).unsigned_abs();
        // Those with one value for all groups go together, group by group.
        let mut all: [Option<One<'_, 'py>>; TOGETHER] = [const { None }; TOGETHER];
        let mut free = all.iter_mut();
        let mut others = false;
        for line in &self.lines {
            let laid = line.laid.get();
            let Some(value) = laid.one(step) else {
                line.written.store(f64::NAN.to_bits(), Relaxed);
                line.put_each(groups, &laid.at(step)?)?;
                continue;
            };
            // Not swapped: the GIL keeps others out, and a swap locks the memory.
            let expected = f64::from_bits(line.written.load(Relaxed));
            line.written.store(value.to_bits(), Relaxed);
            let value = PyFloat::new(py, value);
            let pending = Pending::new(expected);
            match if line.everywhere { free.next() } else { None } {
                Some(slot) => *slot = Some(One { place: &line.place, value, pending }),
                None => others |= line.put_all(groups, &value, pending)?,
            }
        }
        if all[0].is_some() {
            for index in 0..groups.len() {
                for one in all.iter_mut().map_while(Option::as_mut) {
                    one.place.put(&*group_at(groups, index)?, &one.value, &mut one.pending)?;
                }
            }
            others |= all.iter().flatten().any(|one| one.pending.others);
        }
        Ok(others)
    }
}

/// A value that goes to a place in all groups.
struct One<'a, 'py> {
    place: &'a Place,
    value: Bound<'py, PyFloat>,
    pending: Pending<'py>,
}

impl Line {
    fn put_all<'py>(
        &self,
        groups: &Bound<'py, PyList>,
        value: &Bound<'py, PyFloat>,
        mut pending: Pending<'py>,
    ) -> PyResult<bool> {
        for index in &self.groups {
            self.place.put(&*group_at(groups, *index)?, value, &mut pending)?;
        }
        Ok(pending.others)
    }

    fn put_each(&self, groups: &Bound<'_, PyList>, values: &[f64]) -> PyResult<()> {
        if let [value] = values {
            let value = PyFloat::new(groups.py(), *value);
            return self.put_all(groups, &value, Pending::default()).map(|_| ());
        }
        for (index, value) in self.groups.iter().zip(values) {
            let value = PyFloat::new(groups.py(), *value);
            self.place.put(&*group_at(groups, *index)?, &value, &mut Pending::default())?;
        }
        Ok(())
    }
}
