//! Schedules and values laid on steps and on parameter groups.

mod laid;
mod length;
mod plateau;

pub use laid::{Laid, carried_step};
pub use length::{Length, Run};
pub use plateau::{Mode, Plateau, ThresholdMode};

use crate::error::{Result, value_error};
use crate::schedule::{Ends, Part, Schedule, Shape};

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

/// Combine schedules whose phases have the given lengths in a run of `total` steps.
pub fn phases(lengths: &[Length], parts: Vec<Part>, run: &Run, total: u64) -> Result<Schedule> {
    if lengths.len() != parts.len() {
        return Err(value_error!(
            "`lengths` and `scheds` must have the same number of phases, got {} and {}",
            lengths.len(),
            parts.len()
        ));
    }
    let steps = length::fill(lengths, run, total)?;
    let pcts = steps.iter().map(|steps| *steps as f64 / total as f64).collect();
    Schedule::combine(pcts, parts)
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
    positive(&[("div", div), ("div_final", div_final)])?;
    peak(&lr_max, "lr_max", pct_start)?;
    let (start, end) = (divided(&lr_max, div), divided(&lr_max, div_final));
    Schedule::combined_cos(pct_start, start, lr_max, end)
}

/// The flat-cosine rate: `lr` over `pct_start`, then cosine to `lr / div_final`.
pub fn flat_cos_lr(lr: Ends, div_final: f64, pct_start: f64) -> Result<Schedule> {
    positive(&[("div_final", div_final)])?;
    peak(&lr, "lr", pct_start)?;
    let end = divided(&lr, div_final);
    Schedule::combined_cos(pct_start, lr.clone(), lr, end)
}

/// The whole number of epochs nearest to what `n_cycles` cycles take, at least 1; cycle i takes
/// `cycle_len cycle_mult^i`.
pub fn sgdr_epochs(n_cycles: usize, cycle_len: usize, cycle_mult: f64) -> Result<usize> {
    const MOST: f64 = 1e9;
    positive(&[("cycle_mult", cycle_mult)])?;
    let mut total = 0.0;
    let mut length = cycle_len as f64;
    for _ in 0..n_cycles {
        total += length;
        length *= cycle_mult;
        if total > MOST {
            return Err(value_error!(
                "`n_cycles` = {n_cycles} cycles that grow by {cycle_mult:?} take more than 1e9 \
                 epochs"
            ));
        }
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "in 1..=1e9")]
    Ok(total.round().max(1.0) as usize)
}

/// The rate of cosine annealing with warm restarts over `steps` steps: each cycle a cosine from
/// `lr_max` to 0, `cycle_mult` times as long as the one before, and begun at a whole step.
pub fn sgdr_lr(lr_max: &Ends, n_cycles: usize, cycle_mult: f64, steps: usize) -> Result<Schedule> {
    positive(&[("cycle_mult", cycle_mult)])?;
    peak(lr_max, "lr_max", 0.0)?;
    let lengths: Vec<f64> = std::iter::successors(Some(1.0), |length| Some(length * cycle_mult))
        .take(n_cycles)
        .collect();
    let total: f64 = lengths.iter().sum();
    let mut reached = 0.0;
    let mut begin = 0.0;
    let mut pcts = Vec::with_capacity(n_cycles);
    for (cycle, length) in lengths.iter().enumerate() {
        reached += length;
        let end = (reached / total * steps as f64).round();
        if end <= begin {
            return Err(value_error!(
                "`cycle_mult` = {cycle_mult:?} leaves cycle {cycle} of {n_cycles} less than one of \
                 the {steps} batches"
            ));
        }
        pcts.push((end - begin) / steps as f64);
        begin = end;
    }
    let cycle = Schedule::simple(Shape::Cos, lr_max.clone(), Ends::One(0.0))?;
    Schedule::combine(pcts, vec![Part::Schedule(cycle); n_cycles])
}

/// The peak rates of fine-tuning with the groups before the last frozen, and with all: a tenth of
/// `base_lr` before the last group, then half of it, spread in equal ratios from `1 / lr_mult` of
/// that. Rates given per group are the peaks as they are, then half of them.
pub fn fine_tune_lrs(base_lr: &Ends, lr_mult: f64, groups: usize) -> Result<(Vec<f64>, Vec<f64>)> {
    positive(&[("lr_mult", lr_mult)])?;
    let values = per_group(base_lr, groups, "base_lr")?;
    if let Some(lr) = values.iter().find(|lr| **lr <= 0.0) {
        return Err(value_error!("`base_lr` must be above 0, got {lr:?}"));
    }
    if let Ends::One(lr) = base_lr {
        let half = lr / 2.0;
        let all = spread(half / lr_mult, half, groups, "base_lr")?;
        return Ok((spread_tenth(*lr, groups, "base_lr")?, all));
    }
    let halves = values.iter().map(|lr| lr / 2.0).collect();
    Ok((values, halves))
}

/// Rates reduced by a factor, but not below `min_lr`: `max(lr * reduction, min(lr, min_lr))`, so
/// that a rate that is lower to begin with stays where it is.
pub fn reduced_lr(lrs: &[f64], reduction: f64, min_lr: f64) -> Result<Vec<f64>> {
    if !(0.0..=1.0).contains(&reduction) {
        return Err(value_error!("`reduction` must be between 0 and 1, got {reduction:?}"));
    }
    for (name, value) in lrs.iter().map(|lr| ("lrs", *lr)).chain([("min_lr", min_lr)]) {
        if !(value.is_finite() && value >= 0.0) {
            return Err(value_error!("`{name}` must be finite and at least 0, got {value:?}"));
        }
    }
    Ok(lrs.iter().map(|lr| reduced(*lr, reduction, min_lr)).collect())
}

/// One rate reduced by a factor, but not below a floor: `max(lr * factor, min(lr, floor))`.
#[inline]
fn reduced(lr: f64, factor: f64, floor: f64) -> f64 {
    (lr * factor).max(lr.min(floor))
}

/// Refuse numbers that are not finite and above 0.
fn positive(numbers: &[(&str, f64)]) -> Result<()> {
    match numbers.iter().find(|(_, value)| !(value.is_finite() && *value > 0.0)) {
        None => Ok(()),
        Some((name, value)) => {
            Err(value_error!("`{name}` must be a finite number above 0, got {value:?}"))
        }
    }
}

/// Refuse a peak rate below 0, and a share outside `[0, 1]`.
fn peak(lr: &Ends, name: &str, pct_start: f64) -> Result<()> {
    if !(0.0..=1.0).contains(&pct_start) {
        return Err(value_error!("`pct_start` must be between 0 and 1, got {pct_start:?}"));
    }
    lr.validate(name)?;
    match (0..lr.groups().unwrap_or(1)).map(|group| lr.get(group)).find(|lr| *lr < 0.0) {
        None => Ok(()),
        Some(lr) => Err(value_error!("`{name}` must be at least 0, got {lr:?}")),
    }
}

fn divided(lr: &Ends, by: f64) -> Ends {
    match lr {
        Ends::One(value) => Ends::One(value / by),
        Ends::Many(values) => Ends::Many(values.iter().map(|value| value / by).collect()),
    }
}

#[cfg(test)]
mod tests {
    use super::{
        Ends, fine_tune_lrs, per_group, reduced_lr, sgdr_epochs, sgdr_lr, spread, spread_tenth,
    };

    #[test]
    fn cycles_begin_at_whole_steps_and_keep_their_ratios() {
        assert_eq!(sgdr_epochs(3, 1, 2.0).unwrap(), 7);
        assert_eq!(sgdr_epochs(2, 3, 2.0).unwrap(), 9);
        assert_eq!(sgdr_epochs(3, 1, 3.0).unwrap(), 13);
        assert_eq!(sgdr_epochs(4, 2, 1.0).unwrap(), 8);
        assert_eq!(sgdr_epochs(3, 1, 1.5).unwrap(), 5);
        assert!(sgdr_epochs(100, 1, 2.0).is_err());
        let peak = Ends::One(0.5);
        let values = sgdr_lr(&peak, 3, 1.5, 50).unwrap().values(50, false).unwrap();
        // 50 / 4.75 = 10.53, and 2.5 times that 26.3.
        let starts: Vec<usize> = (0..50).filter(|k| values[*k] == 0.5).collect();
        assert_eq!(starts, [0, 11, 26]);
        assert!(sgdr_lr(&peak, 3, 0.01, 50).is_err());
    }

    #[test]
    fn fine_tuning_spreads_one_rate_and_halves_given_ones() {
        let (frozen, all) = fine_tune_lrs(&Ends::One(2e-3), 100.0, 2).unwrap();
        assert_eq!(frozen, [2e-4, 2e-3]);
        assert_eq!(all, [1e-5, 1e-3]);
        let (frozen, all) = fine_tune_lrs(&Ends::Many(vec![1.0, 2.0]), 100.0, 2).unwrap();
        assert_eq!((frozen, all), (vec![1.0, 2.0], vec![0.5, 1.0]));
        assert!(fine_tune_lrs(&Ends::One(0.0), 100.0, 2).is_err());
    }

    #[test]
    fn reduced_rates_stop_at_the_floor_and_never_rise() {
        let lrs = [1e-2, 2e-4, 1e-5];
        assert_eq!(reduced_lr(&lrs, 0.1, 1e-4).unwrap(), [1e-2 * 0.1, 1e-4, 1e-5]);
        assert_eq!(reduced_lr(&lrs, 1.0, 1e-4).unwrap(), lrs);
        assert_eq!(reduced_lr(&lrs, 0.5, 0.0).unwrap(), lrs.map(|lr| lr * 0.5));
        for (lr, reduction, min_lr) in [
            (1.0, -0.1, 0.0),
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
