//! Schedules people know by name, made from shapes and the algebra. Lengths are shares of training.

use super::algebra::growing_shares;
use super::ends::common_groups;
use super::{Ends, MAX_PHASES, Part, Schedule, Shape};
use crate::error::{Result, value_error};
use crate::math::ExactSum;

/// How a schedule gets from one value to another.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Ramp {
    /// In equal differences.
    Linear,
    /// Half a cosine.
    Cosine,
    /// In equal ratios.
    Exponential,
    /// `1 - sqrt(p)`: fast at first.
    OneMinusSqrt,
    /// `(1 - p)^power`.
    Power(f64),
}

/// What a schedule does between its warmup and its decay.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Stable {
    /// It stays at the peak.
    Constant,
    /// `sqrt(timescale / (timescale + pos))` of it, `pos` counted from the end of the warmup.
    InverseSqrt {
        /// A share of training, above 0; the warmup's by default.
        timescale: Option<f64>,
    },
}

/// What becomes of the height of a cyclic schedule's waves.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Waves {
    /// Every one has the same.
    Triangular,
    /// Every one has half of that before.
    Triangular2,
    /// It falls by this factor over the training, in equal ratios.
    ExpRange(f64),
}

impl Ramp {
    fn between(self, start: Ends, end: Ends) -> Result<Schedule> {
        let shape = match self {
            Self::Linear => Shape::Lin,
            Self::Cosine => Shape::Cos,
            Self::Exponential => Shape::Exp,
            Self::OneMinusSqrt => Shape::Poly { power: 0.5 },
            Self::Power(power) => {
                return Schedule::simple(Shape::Poly { power }, end, start)?.reverse();
            }
        };
        Schedule::simple(shape, start, end)
    }
}

/// `schedule` behind a warmup of `length`, from `start` times its first value up to that.
pub fn warmup(schedule: &Schedule, length: f64, start: f64, ramp: Ramp) -> Result<Schedule> {
    share("length", length)?;
    let first = first_value(schedule)?;
    let ramp = rise(&first, start, ramp)?;
    in_turn(vec![(length, ramp), (1.0 - length, schedule.clone())])
}

/// The warmup to a value, from `start` times it.
fn rise(to: &Ends, start: f64, ramp: Ramp) -> Result<Schedule> {
    factor("start_factor", start)?;
    if ramp == Ramp::Exponential && start == 0.0 {
        return Err(value_error!(
            "`start_factor` must be above 0 for an exponential warmup, got {start:?}"
        ));
    }
    ramp.between(scaled(to, start), to.clone())
}

/// 1cycle: from `peak / div` to `peak` over `pct`, and down to `peak / div / final_div`; of three
/// phases the second goes back to `peak / div`, over `pct` again.
pub fn one_cycle(
    peak: &Ends,
    pct: f64,
    div: f64,
    final_div: f64,
    phases: u8,
    ramp: Ramp,
) -> Result<Schedule> {
    peak.validate("peak")?;
    let low = scaled(peak, 1.0 / positive("div", div)?);
    let end = scaled(&low, 1.0 / positive("final_div", final_div)?);
    cycle(&[&low, peak, &low, &end], pct, phases, ramp)
}

/// The momentum of [`one_cycle`]: from `high` to `low` and back, then as it is.
pub fn one_cycle_momentum(
    high: &Ends,
    low: &Ends,
    pct: f64,
    phases: u8,
    ramp: Ramp,
) -> Result<Schedule> {
    high.validate("high")?;
    low.validate("low")?;
    cycle(&[high, low, high, high], pct, phases, ramp)
}

/// The two or three phases between the four values of a 1cycle.
fn cycle(values: &[&Ends; 4], pct: f64, phases: u8, ramp: Ramp) -> Result<Schedule> {
    let most = match phases {
        2 => 1.0,
        3 => 0.5,
        _ => return Err(value_error!("`phases` must be 2 or 3, got {phases}")),
    };
    if !(0.0..=most).contains(&pct) {
        return Err(value_error!(
            "`pct` must be between 0 and {most:?} with {phases} phases, got {pct:?}"
        ));
    }
    let [start, peak, middle, end] = values.map(Clone::clone);
    let rise = ramp.between(start, peak.clone())?;
    if phases == 2 {
        return in_turn(vec![(pct, rise), (1.0 - pct, ramp.between(peak, end)?)]);
    }
    in_turn(vec![
        (pct, rise),
        (pct, ramp.between(peak, middle.clone())?),
        (1.0 - 2.0 * pct, ramp.between(middle, end)?),
    ])
}

/// `peak` for the share `flat`, then a cosine to `end`.
pub fn flat_cos(peak: &Ends, end: &Ends, flat: f64) -> Result<Schedule> {
    share("flat", flat)?;
    let decay = Schedule::simple(Shape::Cos, peak.clone(), end.clone())?;
    in_turn(vec![(flat, constant(peak)?), (1.0 - flat, decay)])
}

/// Cosines from `peak` to `end`, one after the other: each `mult` times as long as the one before,
/// and from `decay` times its peak. `cycles` of them fill the training; or the first takes the
/// share `first`, and the end of training cuts off the last.
pub fn sgdr(
    peak: &Ends,
    end: &Ends,
    cycles: Option<usize>,
    first: Option<f64>,
    mult: f64,
    decay: f64,
) -> Result<Schedule> {
    peak.validate("peak")?;
    positive("mult", mult)?;
    positive("decay", decay)?;
    let lengths = match (cycles, first) {
        (Some(0), None) => return Err(value_error!("`cycles` must be at least 1, got 0")),
        (Some(cycles), None) => growing_shares(cycles, mult, "mult")?,
        (None, Some(first)) => lengths_to_the_end(first, mult)?,
        (None, None) => return Err(value_error!("either `cycles` or `first` must be given")),
        (Some(_), Some(_)) => {
            return Err(value_error!("either `cycles` or `first` must be given, not both of them"));
        }
    };
    let mut done = ExactSum::default();
    let mut height = 1.0;
    let mut parts = Vec::with_capacity(lengths.len());
    let groups = peak.groups().or(end.groups()).unwrap_or(1);
    for length in lengths {
        let top = scaled(peak, height);
        let cycle = Schedule::simple(Shape::Cos, top.clone(), end.clone())?;
        let falls = |from: &Ends, group| from.get(group) >= end.get(group);
        if let Some(group) = (0..groups).find(|&group| falls(peak, group) && !falls(&top, group)) {
            return Err(value_error!(
                "`decay` must leave every peak at or above `end`, got {decay:?}, a peak of {:?} and \
                 an end of {:?}",
                top.get(group),
                end.get(group)
            ));
        }
        let left = 1.0 - done.value();
        if length > left + TINY {
            parts.push((left, cycle.part(0.0, left / length)?));
        } else {
            parts.push((length, cycle));
        }
        done.add(length);
        height *= decay;
    }
    in_turn(parts)
}

/// Cycles this much of a training longer than what is left of it are not cut: it is rounding.
const TINY: f64 = 1e-12;

/// Lengths from `first` on, each `mult` times the one before, until they reach the end.
fn lengths_to_the_end(first: f64, mult: f64) -> Result<Vec<f64>> {
    if !(first > 0.0 && first <= 1.0) {
        return Err(value_error!("`first` must be a share above 0 and at most 1, got {first:?}"));
    }
    let (mut lengths, mut done, mut length) = (Vec::new(), ExactSum::default(), first);
    while done.value() < 1.0 - TINY {
        if length < TINY || lengths.len() == MAX_PHASES {
            return Err(value_error!(
                "`first` and `mult` must fill the training with at most {MAX_PHASES} cycles, got \
                 {first:?} and {mult:?}"
            ));
        }
        lengths.push(length);
        done.add(length);
        length *= mult;
    }
    Ok(lengths)
}

/// The parts of a warmup-stable-decay schedule.
#[derive(Debug, Clone)]
pub struct Wsd {
    /// The value at the end of the warmup.
    pub peak: Ends,
    /// The first value, as a factor of the peak.
    pub start: f64,
    /// The last value.
    pub end: Ends,
    /// Shares of training.
    pub warmup: f64,
    /// The last part of it.
    pub decay: f64,
    /// What lies between the two.
    pub stable: Stable,
    /// How the warmup rises.
    pub warmup_ramp: Ramp,
    /// How the decay falls.
    pub decay_ramp: Ramp,
}

/// A warmup to the peak, a stable phase, and a decay to the end.
pub fn wsd(of: &Wsd) -> Result<Schedule> {
    of.peak.validate("peak")?;
    share("warmup", of.warmup)?;
    share("decay", of.decay)?;
    let middle = 1.0 - of.warmup - of.decay;
    if middle < -TINY {
        return Err(value_error!(
            "`warmup` and `decay` must not be more than the whole training, got {:?} and {:?}",
            of.warmup,
            of.decay
        ));
    }
    let middle = if middle < TINY { 0.0 } else { middle };
    let mut parts = Vec::with_capacity(3);
    if of.warmup > 0.0 {
        parts.push((of.warmup, rise(&of.peak, of.start, of.warmup_ramp)?));
    }
    let level = match of.stable {
        Stable::Constant => of.peak.clone(),
        Stable::InverseSqrt { timescale } => {
            let timescale = match timescale {
                Some(timescale) => positive("timescale", timescale)?,
                None if of.warmup > 0.0 => of.warmup,
                None => {
                    return Err(value_error!(
                        "`warmup` must be above 0 without a `timescale`, got {:?}",
                        of.warmup
                    ));
                }
            };
            scaled(&of.peak, (timescale / (timescale + middle)).sqrt())
        }
    };
    if middle > 0.0 {
        let shape = if of.stable == Stable::Constant { Shape::No } else { Shape::InverseSqrt };
        parts.push((middle, Schedule::simple(shape, of.peak.clone(), level.clone())?));
    }
    if of.decay > 0.0 {
        let groups = of.end.groups().unwrap_or(1);
        if of.decay_ramp == Ramp::Exponential
            && let Some(group) = (0..groups).find(|&group| of.end.get(group) <= 0.0)
        {
            return Err(value_error!(
                "`end` must be above 0 for an exponential decay, got {:?}",
                of.end.get(group)
            ));
        }
        parts.push((of.decay, of.decay_ramp.between(level, of.end.clone())?));
    }
    in_turn(parts)
}

/// `start`, times `gamma` from each milestone on.
pub fn multistep(start: &Ends, milestones: &[f64], gamma: f64) -> Result<Schedule> {
    start.validate("start")?;
    factor("gamma", gamma)?;
    let mut parts = Vec::with_capacity(milestones.len() + 1);
    let (mut from, mut height) = (0.0, 1.0);
    for (index, &milestone) in milestones.iter().enumerate() {
        let name = format!("milestones[{index}]");
        share(&name, milestone)?;
        if milestone < from {
            return Err(value_error!(
                "`milestones` must not fall, got {milestone:?} behind {from:?}"
            ));
        }
        parts.push((milestone - from, constant(&scaled(start, height))?));
        from = milestone;
        height *= gamma;
    }
    parts.push((1.0 - from, constant(&scaled(start, height))?));
    in_turn(parts)
}

/// How many cycles of the share `period` a training has.
pub fn cycles_of(period: f64) -> Result<f64> {
    if !(period > 0.0 && period <= 1.0) {
        return Err(value_error!("`period` must be a share above 0 and at most 1, got {period:?}"));
    }
    Ok(1.0 / period)
}

/// `cycles` waves from `low` to `high` and back, rising over the share `up` of each.
pub fn cyclic(low: &Ends, high: &Ends, cycles: f64, up: f64, waves: Waves) -> Result<Schedule> {
    low.validate("low")?;
    high.validate("high")?;
    positive("cycles", cycles)?;
    if cycles > MAX_PHASES as f64 {
        return Err(value_error!("`cycles` must be at most {MAX_PHASES}, got {cycles:?}"));
    }
    if !(0.0..=1.0).contains(&up) {
        return Err(value_error!("`up` must be between 0 and 1, got {up:?}"));
    }
    let nearest = cycles.round();
    // 1 / 0.1 and its like are whole.
    let whole = if (cycles - nearest).abs() <= TINY * nearest { nearest } else { cycles.floor() };
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked above")]
    let count = whole as usize;
    let cut = if cycles - whole <= TINY * nearest { 0.0 } else { cycles - whole };
    let wave = |from: &Ends, to: &Ends| {
        let rise = Schedule::simple(Shape::Lin, from.clone(), to.clone())?;
        let fall = Schedule::simple(Shape::Lin, to.clone(), from.clone())?;
        in_turn(vec![(up, rise), (1.0 - up, fall)])
    };
    let all = match waves {
        Waves::Triangular => runs(&wave(low, high)?, count, cut, cycles)?,
        Waves::Triangular2 => {
            let mut height = 1.0;
            let mut parts = Vec::with_capacity(2 * count + 1);
            for _ in 0..count {
                // A wave whose height underflows is flat.
                let top = towards(low, high, height)?;
                parts.push((up / cycles, Schedule::simple(Shape::Lin, low.clone(), top.clone())?));
                parts.push(((1.0 - up) / cycles, Schedule::simple(Shape::Lin, top, low.clone())?));
                height /= 2.0;
            }
            if cut > 0.0 {
                parts
                    .push((cut / cycles, wave(low, &towards(low, high, height)?)?.part(0.0, cut)?));
            }
            in_turn(parts)?
        }
        Waves::ExpRange(_) => runs(&wave(&Ends::One(0.0), &Ends::One(1.0))?, count, cut, cycles)?,
    };
    let Waves::ExpRange(gamma) = waves else { return Ok(all) };
    let height = joined(low, high, |low, high| high - low)?;
    let envelope =
        Schedule::simple(Shape::Exp, Ends::One(1.0), Ends::One(positive("gamma", gamma)?))?;
    constant(low)?.add(&constant(&height)?.multiply(&envelope)?.multiply(&all)?)
}

/// `count` whole runs of a wave, and the part `cut` of another: `cycles` in all.
fn runs(wave: &Schedule, count: usize, cut: f64, cycles: f64) -> Result<Schedule> {
    let mut parts = Vec::with_capacity(2);
    if count > 0 {
        parts.push((count as f64 / cycles, wave.repeat(count, 1.0)?));
    }
    if cut > 0.0 {
        parts.push((cut / cycles, wave.part(0.0, cut)?));
    }
    in_turn(parts)
}

/// A line, or half cosines, through points of position and value; constant before and behind them.
pub fn piecewise(points: &[(f64, Ends)], ramp: Ramp) -> Result<Schedule> {
    let [(first, value), ..] = points else {
        return Err(value_error!("`points` must hold at least one point, got none"));
    };
    share("points[0][0]", *first)?;
    let mut parts = vec![(*first, constant(value)?)];
    for (index, pair) in points.windows(2).enumerate() {
        let [(from, start), (to, end)] = pair else { continue };
        share(&format!("points[{}][0]", index + 1), *to)?;
        if to < from {
            return Err(value_error!(
                "the positions of `points` must not fall, got {to:?} behind {from:?}"
            ));
        }
        parts.push((to - from, ramp.between(start.clone(), end.clone())?));
    }
    if let Some((last, value)) = points.last() {
        parts.push((1.0 - last, constant(value)?));
    }
    in_turn(parts)
}

/// `end + (start - end) (1 - pos)^power`.
pub fn polynomial(start: Ends, end: Ends, power: f64) -> Result<Schedule> {
    start.validate("start")?;
    end.validate("end")?;
    Ramp::Power(power).between(start, end)
}

/// `start + (end - start) w(pos^k)`, where `w` is half a cosine or a line.
pub fn k_decay(start: Ends, end: Ends, k: f64, ramp: Ramp) -> Result<Schedule> {
    positive("k", k)?;
    ramp.between(start, end)?.warp(k)
}

/// Schedules one after the other; those of no length are left out.
fn in_turn(parts: Vec<(f64, Schedule)>) -> Result<Schedule> {
    let (shares, mut parts): (Vec<_>, Vec<_>) =
        parts.into_iter().filter(|(share, _)| *share > 0.0).unzip();
    if parts.len() == 1
        && let Some(only) = parts.pop()
    {
        return Ok(only);
    }
    Schedule::combine(shares, parts.into_iter().map(Part::Schedule).collect())
}

fn constant(value: &Ends) -> Result<Schedule> {
    Schedule::simple(Shape::No, value.clone(), value.clone())
}

/// The value of a schedule at 0.
fn first_value(schedule: &Schedule) -> Result<Ends> {
    if let Some((_, start, _)) = schedule.as_simple() {
        return Ok(start.clone());
    }
    let mut values = vec![0.0; schedule.groups().unwrap_or(1)];
    schedule.at_groups(0.0, &mut values)?;
    Ok(if schedule.groups().is_some() { Ends::Many(values) } else { Ends::One(values[0]) })
}

fn scaled(ends: &Ends, factor: f64) -> Ends {
    match ends {
        Ends::One(value) => Ends::One(value * factor),
        Ends::Many(values) => Ends::Many(values.iter().map(|value| value * factor).collect()),
    }
}

/// A function of two ends, group by group.
fn joined(a: &Ends, b: &Ends, function: impl Fn(f64, f64) -> f64) -> Result<Ends> {
    let groups = common_groups([("low".to_owned(), a.groups()), ("high".to_owned(), b.groups())])?;
    Ok(match groups {
        None => Ends::One(function(a.get(0), b.get(0))),
        Some(n) => Ends::Many((0..n).map(|group| function(a.get(group), b.get(group))).collect()),
    })
}

/// `low + (high - low) height`.
fn towards(low: &Ends, high: &Ends, height: f64) -> Result<Ends> {
    joined(low, high, |low, high| low * (1.0 - height) + high * height)
}

fn share(name: &str, value: f64) -> Result<()> {
    if (0.0..=1.0).contains(&value) {
        return Ok(());
    }
    Err(value_error!(
        "`{name}` must be a share of training between 0 and 1 (5 % is 0.05, or \"5%\"), got {value:?}"
    ))
}

fn positive(name: &str, value: f64) -> Result<f64> {
    if value.is_finite() && value > 0.0 {
        return Ok(value);
    }
    Err(value_error!("`{name}` must be a finite number above 0, got {value:?}"))
}

/// A factor of at least 0.
fn factor(name: &str, value: f64) -> Result<f64> {
    if value.is_finite() && value >= 0.0 {
        return Ok(value);
    }
    Err(value_error!("`{name}` must be a finite number of at least 0, got {value:?}"))
}
