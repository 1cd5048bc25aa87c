//! What a `Scheduler` does at every step: values of schedules into the groups of an optimizer.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

use numpy::{IntoPyArray, PyArray1};
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyFloat, PyList, PyString};

use crate::error::OrPy;
use crate::schedule::Schedule;
use crate::writer::{Place, Rebuilt, groups_of};

/// A schedule laid on the steps of a training.
#[pyclass(frozen, module = "lehr._core")]
pub struct Laid {
    laid: lehr_core::plan::Laid,
    groups: Option<usize>,
}

#[pymethods]
impl Laid {
    #[new]
    #[pyo3(signature = (schedule, steps, begin = 0, factor = 1.0, floor = 0.0, times = 1.0))]
    fn new(
        schedule: &Bound<'_, Schedule>,
        steps: u64,
        begin: u64,
        factor: f64,
        floor: f64,
        times: f64,
    ) -> PyResult<Self> {
        let schedule = schedule.get().0.clone();
        let groups = schedule.groups();
        let laid = lehr_core::plan::Laid::new(schedule, begin, steps, factor, floor, times);
        Ok(Self { laid: laid.or_py()?, groups })
    }

    #[getter]
    fn groups(&self) -> Option<usize> {
        self.groups
    }

    /// The values at a step, one or one a group.
    fn at(&self, step: u64) -> PyResult<Vec<f64>> {
        self.laid.at(step).or_py()
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
        Ok(self.laid.values(first, last, every).or_py()?.into_pyarray(py))
    }
}

/// What one schedule writes: to which place of which groups.
struct Line {
    laid: Py<Laid>,
    place: Place,
    groups: Vec<usize>,
    /// Whether those are all.
    everywhere: bool,
}

/// Hyper-parameters that are written together: more of them take turns.
const TOGETHER: usize = 4;

/// What is written at a step.
#[derive(Default)]
struct Plan {
    /// The number of groups it was made for.
    groups: usize,
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
/// watch; "epoch", the argument of `step`.
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
    plan: Mutex<Arc<Plan>>,
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
            plan: Mutex::default(),
        }
    }

    /// Plan what is written, in an optimizer of so many groups.
    fn lay(&self, groups: usize, lines: Vec<GivenLine>, more: bool) {
        let lines = lines
            .into_iter()
            .map(|GivenLine(laid, key, index, indices)| Line {
                laid,
                place: Place { key, index },
                everywhere: indices.len() == groups,
                groups: indices,
            })
            .collect();
        let plan = Arc::new(Plan { groups, lines, more });
        let before =
            std::mem::replace(&mut *self.plan.lock().unwrap_or_else(PoisonError::into_inner), plan);
        // Dropped without the lock: what it holds may run Python code as it goes.
        drop(before);
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

    /// Number of groups planned for.
    #[getter]
    fn planned_groups(&self) -> usize {
        self.plan().groups
    }

    /// Go to the next step and write its values.
    #[pyo3(signature = (epoch = None))]
    fn step(&self, py: Python<'_>, epoch: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
        if self.by_optimizer {
            return Ok(());
        }
        if let Some(epoch) = epoch {
            return self.attend(py, intern!(py, "epoch"), epoch);
        }
        let taken = self.taken.load(Relaxed);
        let fresh = taken - self.seen.swap(taken, Relaxed);
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
        self.plan().write(py, &groups, step)
    }

    #[expect(clippy::needless_pass_by_value, reason = "the signature PyO3 asks for")]
    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.optimizer)?;
        visit.call(&self.attend)
    }
}

impl Stepper {
    #[inline]
    fn plan(&self) -> Arc<Plan> {
        self.plan.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    #[cold]
    fn attend<'py>(
        &self,
        py: Python<'py>,
        what: &Bound<'py, PyString>,
        value: impl IntoPyObject<'py>,
    ) -> PyResult<()> {
        self.attend.call1(py, (what, value)).map(|_| ())
    }

    #[inline]
    fn advance(&self, py: Python<'_>) -> PyResult<()> {
        let current = self.step.load(Relaxed);
        let next = current + 1;
        let groups = groups_of(self.optimizer.bind(py))?;
        let plan = self.plan();
        if groups.len() != plan.groups || plan.more {
            return self.attend(py, intern!(py, "move"), next);
        }
        if let Err(error) = plan.write(py, &groups, next) {
            // What was written before the error: nothing is left half-changed.
            let _ = plan.write(py, &groups, current);
            return Err(error);
        }
        self.step.store(next, Relaxed);
        Ok(())
    }
}

impl Plan {
    /// Write the values of a step.
    #[inline]
    fn write<'py>(&self, py: Python<'py>, groups: &Bound<'py, PyList>, step: i64) -> PyResult<()> {
        let step = step.max(0).unsigned_abs();
        // Those with one value for all groups go together, group by group.
        let mut all: [Option<One<'_, 'py>>; TOGETHER] = [const { None }; TOGETHER];
        let mut free = all.iter_mut();
        for line in &self.lines {
            let laid = &line.laid.get().laid;
            let value = laid.one(step).map(|value| PyFloat::new(py, value));
            match value {
                Some(value) if line.everywhere => match free.next() {
                    Some(slot) => {
                        *slot =
                            Some(One { place: &line.place, value, rebuilt: Rebuilt::default() });
                    }
                    None => line.put_all(groups, &value)?,
                },
                Some(value) => line.put_all(groups, &value)?,
                None => line.put_each(groups, &laid.at(step).or_py()?)?,
            }
        }
        if all[0].is_none() {
            return Ok(());
        }
        for group in groups {
            let group = group.cast::<PyDict>()?;
            for one in all.iter_mut().map_while(Option::as_mut) {
                one.place.put(group, &one.value, &mut one.rebuilt)?;
            }
        }
        Ok(())
    }
}

/// A value that goes to a place in all groups.
struct One<'a, 'py> {
    place: &'a Place,
    value: Bound<'py, PyFloat>,
    rebuilt: Rebuilt<'py>,
}

impl Line {
    fn put_all<'py>(
        &self,
        groups: &Bound<'py, PyList>,
        value: &Bound<'py, PyFloat>,
    ) -> PyResult<()> {
        let mut rebuilt = Rebuilt::default();
        for index in &self.groups {
            let group = groups.get_item(*index)?;
            self.place.put(group.cast::<PyDict>()?, value, &mut rebuilt)?;
        }
        Ok(())
    }

    fn put_each(&self, groups: &Bound<'_, PyList>, values: &[f64]) -> PyResult<()> {
        if let [value] = values {
            return self.put_all(groups, &PyFloat::new(groups.py(), *value));
        }
        for (index, value) in self.groups.iter().zip(values) {
            let group = groups.get_item(*index)?;
            let value = PyFloat::new(group.py(), *value);
            self.place.put(group.cast::<PyDict>()?, &value, &mut Rebuilt::default())?;
        }
        Ok(())
    }
}
