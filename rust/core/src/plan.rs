//! A schedule laid on parameter groups.

use crate::error::{Result, value_error};

/// `groups` values from `start` to `stop` in equal ratios; with one group, `stop`.
///
/// `start (stop / start)^(g / (groups - 1))`, what `slice(start, stop)` means for a
/// hyper-parameter.
pub fn spread(start: f64, stop: f64, groups: usize) -> Result<Vec<f64>> {
    if !(start.is_finite() && stop.is_finite() && start > 0.0 && stop > 0.0) {
        return Err(value_error!(
            "`slice(start, stop)` must hold two finite numbers above 0, got {start:?} and {stop:?}"
        ));
    }
    if groups <= 1 {
        return Ok(vec![stop; groups]);
    }
    let schedule = crate::Schedule::simple(
        crate::Shape::Exp,
        crate::Ends::One(start),
        crate::Ends::One(stop),
    )?;
    schedule.values(groups, true)
}

/// `groups` values, the last `stop` and all before it a tenth: what `slice(stop)` means.
pub fn spread_tenth(stop: f64, groups: usize) -> Result<Vec<f64>> {
    if !stop.is_finite() {
        return Err(value_error!("`slice(stop)` must hold a finite number, got {stop:?}"));
    }
    let mut values = vec![stop / 10.0; groups];
    if let Some(last) = values.last_mut() {
        *last = stop;
    }
    Ok(values)
}
