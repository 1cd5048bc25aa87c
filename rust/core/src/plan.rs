//! Values laid on parameter groups.

use crate::error::{Result, value_error};
use crate::schedule::{Ends, Schedule, Shape};

/// One value a group from `value`: a single number or a sequence of one goes to all groups.
pub fn per_group(value: &Ends, groups: usize, name: &str) -> Result<Vec<f64>> {
    value.validate(name)?;
    match value {
        Ends::One(value) => Ok(vec![*value; groups]),
        Ends::Many(values) if values.len() == 1 => Ok(vec![values[0]; groups]),
        Ends::Many(values) if values.len() == groups => Ok(values.clone()),
        Ends::Many(values) => Err(value_error!(
            "`{name}` must be one number or {groups}, one per parameter group, got {}",
            values.len()
        )),
    }
}

/// What `slice(start, stop)` means: from `start` to `stop` in equal ratios,
/// `start (stop / start)^(g / (groups - 1))`; with one group, `stop`.
pub fn spread(start: f64, stop: f64, groups: usize, name: &str) -> Result<Vec<f64>> {
    if !(start.is_finite() && stop.is_finite() && start > 0.0 && stop > 0.0) {
        return Err(value_error!(
            "`{name}` = slice(start, stop) must hold two finite numbers above 0, \
             got slice({start:?}, {stop:?})"
        ));
    }
    if groups <= 1 {
        return Ok(vec![stop; groups]);
    }
    Schedule::simple(Shape::Exp, Ends::One(start), Ends::One(stop))?.values(groups, true)
}

/// What `slice(stop)` means: the last group gets `stop`, all before it a tenth.
pub fn spread_tenth(stop: f64, groups: usize, name: &str) -> Result<Vec<f64>> {
    if !stop.is_finite() {
        return Err(value_error!(
            "`{name}` = slice(stop) must hold a finite number, got slice({stop:?})"
        ));
    }
    let mut values = vec![stop / 10.0; groups];
    if let Some(last) = values.last_mut() {
        *last = stop;
    }
    Ok(values)
}

/// The rate of a sweep, `start_lr (end_lr / start_lr)^pos`.
pub fn sweep_lr(start_lr: Ends, end_lr: Ends) -> Result<Schedule> {
    for (name, ends) in [("start_lr", &start_lr), ("end_lr", &end_lr)] {
        ends.validate(name)?;
        let values = (0..ends.groups().unwrap_or(1)).map(|group| ends.get(group));
        if let Some(lr) = values.into_iter().find(|lr| *lr <= 0.0) {
            return Err(value_error!("`{name}` must be above 0, got {lr:?}"));
        }
    }
    Schedule::simple(Shape::Exp, start_lr, end_lr)
}

/// The 1cycle rate: cosine from `lr_max / div` to `lr_max` over `pct_start`, then to
/// `lr_max / div_final`.
pub fn one_cycle_lr(lr_max: Ends, div: f64, div_final: f64, pct_start: f64) -> Result<Schedule> {
    for (name, value) in [("div", div), ("div_final", div_final)] {
        if !(value.is_finite() && value > 0.0) {
            return Err(value_error!("`{name}` must be a finite number above 0, got {value:?}"));
        }
    }
    if !(0.0..=1.0).contains(&pct_start) {
        return Err(value_error!("`pct_start` must be between 0 and 1, got {pct_start:?}"));
    }
    lr_max.validate("lr_max")?;
    if let Some(lr) = (0..lr_max.groups().unwrap_or(1)).map(|g| lr_max.get(g)).find(|lr| *lr < 0.0)
    {
        return Err(value_error!("`lr_max` must be at least 0, got {lr:?}"));
    }
    let divided = |by: f64| match &lr_max {
        Ends::One(value) => Ends::One(value / by),
        Ends::Many(values) => Ends::Many(values.iter().map(|value| value / by).collect()),
    };
    let (start, end) = (divided(div), divided(div_final));
    Schedule::combined_cos(pct_start, start, lr_max, end)
}

/// Rates reduced by a factor, but not below `min_lr`: `max(lr * reduction, min(lr, min_lr))`, so
/// that a rate that is lower to begin with stays where it is.
pub fn reduced_lr(lrs: &[f64], reduction: f64, min_lr: f64) -> Result<Vec<f64>> {
    if !(reduction > 0.0 && reduction <= 1.0) {
        return Err(value_error!("`reduction` must be above 0 and at most 1, got {reduction:?}"));
    }
    for (name, value) in lrs.iter().map(|lr| ("lrs", *lr)).chain([("min_lr", min_lr)]) {
        if !(value.is_finite() && value >= 0.0) {
            return Err(value_error!("`{name}` must be finite and at least 0, got {value:?}"));
        }
    }
    Ok(lrs.iter().map(|lr| (lr * reduction).max(lr.min(min_lr))).collect())
}

#[cfg(test)]
mod tests {
    use super::{Ends, per_group, reduced_lr, spread, spread_tenth};

    #[test]
    fn reduced_rates_stop_at_the_floor_and_never_rise() {
        let lrs = [1e-2, 2e-4, 1e-5];
        assert_eq!(reduced_lr(&lrs, 0.1, 1e-4).unwrap(), [1e-2 * 0.1, 1e-4, 1e-5]);
        assert_eq!(reduced_lr(&lrs, 1.0, 1e-4).unwrap(), lrs);
        assert_eq!(reduced_lr(&lrs, 0.5, 0.0).unwrap(), lrs.map(|lr| lr * 0.5));
        for (lr, reduction, min_lr) in [
            (1.0, 0.0, 0.0),
            (1.0, 1.5, 0.0),
            (1.0, f64::NAN, 0.0),
            (1.0, 0.5, -1.0),
            (1.0, 0.5, f64::NAN),
            (f64::NAN, 0.5, 0.0),
            (-1.0, 0.5, 0.0),
        ] {
            assert!(reduced_lr(&[lr], reduction, min_lr).is_err(), "{lr} {reduction} {min_lr}");
        }
    }

    #[test]
    fn slices_spread_in_equal_ratios_and_hit_both_ends() {
        let values = spread(1e-4, 1e-2, 3, "lr").unwrap();
        assert_eq!((values[0], values[2]), (1e-4, 1e-2));
        assert!((values[1] / 1e-3 - 1.0).abs() < 4.0 * f64::EPSILON, "{values:?}");
        assert_eq!(spread(1e-4, 1e-2, 1, "lr").unwrap(), [1e-2]);
        assert_eq!(spread_tenth(1e-2, 3, "lr").unwrap(), [1e-3, 1e-3, 1e-2]);
        assert!(spread(0.0, 1.0, 2, "lr").is_err());
    }

    #[test]
    fn one_value_goes_to_all_groups() {
        assert_eq!(per_group(&Ends::One(2.0), 3, "lr").unwrap(), [2.0; 3]);
        assert_eq!(per_group(&Ends::Many(vec![2.0]), 3, "lr").unwrap(), [2.0; 3]);
        assert!(per_group(&Ends::Many(vec![2.0, 3.0]), 3, "lr").is_err());
        assert!(per_group(&Ends::One(f64::NAN), 3, "lr").is_err());
    }
}
