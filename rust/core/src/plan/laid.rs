//! A schedule on the integer steps of a training.

use super::reduced;
use crate::error::{Error, Result, value_error};
use crate::schedule::Schedule;

/// Steps evaluated together.
const CHUNK: usize = 4096;

/// How a schedule is laid on `steps` integer steps from step `begin` on, and scaled.
///
/// At step k the position is `(k - begin) / steps`, clamped to `[0, 1]` (rules 1 and 5), and the
/// value `times * max(f(pos) * factor, min(f(pos), floor))`.
#[derive(Clone, Copy, Debug)]
pub struct Laid {
    begin: u64,
    steps: u64,
    factor: f64,
    floor: f64,
    times: f64,
    /// Whether the value is the schedule's own.
    bare: bool,
}

impl Laid {
    /// Lay a schedule on steps.
    pub fn new(begin: u64, steps: u64, factor: f64, floor: f64, times: f64) -> Result<Self> {
        if steps == 0 {
            return Err(value_error!("`steps` must be at least 1, got 0"));
        }
        if !(0.0..=1.0).contains(&factor) {
            return Err(value_error!("`factor` must be between 0 and 1, got {factor:?}"));
        }
        for (name, value) in [("floor", floor), ("times", times)] {
            if !value.is_finite() {
                return Err(value_error!("`{name}` must be a finite number, got {value:?}"));
            }
        }
        let bare = factor == 1.0 && times == 1.0;
        Ok(Self { begin, steps, factor, floor, times, bare })
    }

    /// The position at a step.
    #[inline]
    fn pos(&self, step: u64) -> f64 {
        let done = step.saturating_sub(self.begin);
        if done >= self.steps { 1.0 } else { done as f64 / self.steps as f64 }
    }

    #[inline]
    fn scaled(&self, value: f64) -> f64 {
        if self.bare { value } else { self.times * reduced(value, self.factor, self.floor) }
    }

    /// The value at a step by the short way: `None` where [`Laid::at`] has to be asked.
    #[inline]
    #[must_use]
    pub fn one(&self, schedule: &Schedule, step: u64) -> Option<f64> {
        schedule.at_inside(self.pos(step)).map(|value| self.scaled(value))
    }

    /// The values at a step: one, or one a group.
    pub fn at(&self, schedule: &Schedule, step: u64) -> Result<Vec<f64>> {
        let mut values = vec![0.0; schedule.groups().unwrap_or(1)];
        schedule.at_groups(self.pos(step), &mut values)?;
        for value in &mut values {
            *value = self.scaled(*value);
        }
        Ok(values)
    }

    /// The values at every `every`th step from `first` up to `last`, those of the groups side by
    /// side. The same bits as [`Laid::at`] gives.
    pub fn values(
        &self,
        schedule: &Schedule,
        first: u64,
        last: u64,
        every: usize,
    ) -> Result<Vec<f64>> {
        let every = every.max(1);
        let count = last.saturating_sub(first).div_ceil(every as u64);
        let too_large = || Error::Memory(format!("{count} steps do not fit into memory"));
        let size = usize::try_from(count)
            .ok()
            .and_then(|count| count.checked_mul(schedule.groups().unwrap_or(1)))
            .ok_or_else(too_large)?;
        let mut values = Vec::new();
        values.try_reserve_exact(size).map_err(|_| too_large())?;
        let mut positions = Vec::with_capacity(CHUNK);
        let mut steps = (first..last).step_by(every);
        loop {
            positions.clear();
            positions.extend(steps.by_ref().take(CHUNK).map(|step| self.pos(step)));
            if positions.is_empty() {
                return Ok(values);
            }
            let chunk = schedule.at_many(&positions)?;
            values.extend(chunk.into_iter().map(|value| self.scaled(value)));
        }
    }
}

/// The step of a training of `now` steps at which the same share is done as at step `step` of one
/// of `then` steps, to the nearest.
#[must_use]
pub fn carried_step(step: u64, then: u64, now: u64) -> u64 {
    // Exact in integers: the product of two step counts may be over 2^53.
    let (step, then, now) = (u128::from(step), u128::from(then.max(1)), u128::from(now));
    u64::try_from((2 * step * now + then) / (2 * then)).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::{Laid, carried_step};
    use crate::schedule::{Ends, Schedule, Shape};

    fn line() -> Schedule {
        Schedule::simple(Shape::Lin, Ends::One(1.0), Ends::One(0.0)).unwrap()
    }

    #[test]
    fn a_laid_schedule_is_clamped_at_both_ends() {
        let laid = Laid::new(2, 4, 1.0, 0.0, 1.0).unwrap();
        let values = laid.values(&line(), 0, 9, 1).unwrap();
        assert_eq!(values, [1.0, 1.0, 1.0, 0.75, 0.5, 0.25, 0.0, 0.0, 0.0]);
        for (step, value) in (0..).zip(&values) {
            assert_eq!(laid.one(&line(), step), Some(*value));
            assert_eq!(laid.at(&line(), step).unwrap(), [*value]);
        }
    }

    #[test]
    fn what_is_scaled_stops_at_the_floor() {
        let laid = Laid::new(0, 4, 0.5, 0.25, 2.0).unwrap();
        // Halved, not below a quarter, and where the schedule is below that, as it is; then doubled.
        assert_eq!(laid.values(&line(), 0, 5, 1).unwrap(), [1.0, 0.75, 0.5, 0.5, 0.0]);
    }

    #[test]
    fn chunks_and_steps_agree() {
        let laid = Laid::new(0, 10_000, 1.0, 0.0, 1.0).unwrap();
        let values = laid.values(&line(), 3, 9_999, 1).unwrap();
        assert_eq!(values.len(), 9_996);
        assert_eq!(values[5_000], laid.one(&line(), 5_003).unwrap());
        let some = laid.values(&line(), 3, 9_999, 2).unwrap();
        assert_eq!((some.len(), some[2_500]), (4_998, values[5_000]));
    }

    #[test]
    fn a_step_is_carried_to_the_same_share() {
        assert_eq!(carried_step(7, 20, 40), 14);
        assert_eq!(carried_step(1, 3, 2), 1);
        assert_eq!(carried_step(1, 4, 2), 1);
        assert_eq!(carried_step(u64::MAX, 1 << 40, 1 << 40), u64::MAX);
        assert_eq!(carried_step((1 << 60) + 1, 1 << 61, 1 << 61), (1 << 60) + 1);
    }

    #[test]
    fn what_cannot_be_laid_is_refused() {
        assert!(Laid::new(0, 0, 1.0, 0.0, 1.0).is_err());
        assert!(Laid::new(0, 1, 1.5, 0.0, 1.0).is_err());
        assert!(Laid::new(0, 1, 1.0, 0.0, f64::NAN).is_err());
    }
}
