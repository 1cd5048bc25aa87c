//! Our own rule: between where the loss has fallen and where it breaks away, or nothing.

use std::ops::Range;

use super::curve::check;
use super::local;
use crate::error::{Result, value_error};
use crate::math;

/// The numbers in the rule. They were tuned on the sweeps and trainings in `benches/data`; the
/// optimum is flat.
#[derive(Debug, Clone, PartialEq)]
pub struct Constants {
    /// Reach of the smoother, in decades.
    pub reach: f64,
    /// Share of the points that stand for the untouched loss.
    pub start: f64,
    /// Share of the drop that counts as all of it.
    pub share: f64,
    /// The loss breaks away when it has risen by this share of the drop,
    pub rise: f64,
    /// and by this many standard errors of the smooth curve.
    pub noise: f64,
    /// Single losses further above the untouched loss, in standard deviations, are spikes.
    pub spike: f64,
    /// So many spikes close to each other are a break; more in denser curves.
    pub crowd: f64,
    /// Decades by which the first of them comes before the break.
    pub lead: f64,
    /// Where between break and drop the suggestion lies: 0 at the break, 1 at the drop,
    pub mix: f64,
    /// less this many decades.
    pub offset: f64,
    /// The drop is looked for this far below the break, in decades; and below the end of a sweep
    /// without one.
    pub far: f64,
    /// See `far`.
    pub far_open: f64,
    /// Decades by which a break is supposed to lie behind the end of a sweep without one.
    pub beyond: f64,
    /// Signal-to-noise ratio at which drop and `gap` count alike.
    pub trust: f64,
    /// Decades below the break where nothing is known of the drop.
    pub gap: f64,
    /// Sweeps of more iterations a decade train more, and break away earlier: the suggestion goes
    /// with this power of their number.
    pub density: f64,
    /// Longer trainings want lower rates: the suggestion goes with this power of their length.
    pub length: f64,
    /// Signal-to-noise ratio below which a suggestion is weak.
    pub weak: f64,
}

impl Constants {
    /// Check that the rule can be computed with them.
    ///
    /// # Errors
    /// One is not finite, or `reach`, `start` or `share` is out of range.
    pub fn check(&self) -> Result<()> {
        let ranges = [
            ("reach", self.reach, 1e-3..=100.0),
            ("start", self.start, 0.0..=1.0),
            ("share", self.share, 0.0..=1.0),
        ];
        for (name, value, range) in ranges {
            if !range.contains(&value) {
                let (low, high) = range.into_inner();
                return Err(value_error!("`{name}` must be from {low} to {high}, got {value:?}"));
            }
        }
        let Self { rise, noise, spike, crowd, lead, mix, offset, far, far_open, beyond, .. } = self;
        let Self { trust, gap, density, length, weak, .. } = self;
        let others = [
            rise, noise, spike, crowd, lead, mix, offset, far, far_open, beyond, trust, gap,
            density, length, weak,
        ];
        if let Some(value) = others.into_iter().find(|value| !value.is_finite()) {
            return Err(value_error!("the constants must be finite, got {value:?}"));
        }
        Ok(())
    }
}

impl Default for Constants {
    fn default() -> Self {
        Self {
            reach: 0.5,
            start: 0.35,
            share: 0.9,
            rise: 1.0,
            noise: 9.0,
            spike: 5.0,
            crowd: 4.0,
            lead: 0.3,
            mix: 0.75,
            offset: 0.42,
            far: 2.25,
            far_open: 3.0,
            beyond: 0.15,
            trust: 6.0,
            gap: 0.9,
            density: 0.65,
            length: 1.0 / 3.0,
            weak: 6.0,
        }
    }
}

/// Iterations a decade of the sweeps, and steps of the trainings, that the rule was tuned on, and
/// where what they do to the suggestion ends.
const TUNED_DENSITY: f64 = 12.5;
const DENSITIES: (f64, f64) = (3.0, 100.0);
const TUNED_STEPS: f64 = 170.0;
const STEPS: (f64, f64) = (10.0, 1e5);
/// Decades below the break that a suggestion keeps.
const BELOW: f64 = 0.2;
/// A curve that ends higher than its least by this share of the drop is about to break away.
const TURNED: f64 = 0.03;
/// Finite points, and decades, that a curve needs.
const FEWEST: usize = 10;
const NARROWEST: f64 = 1.0;
/// Spikes with at most as many decades between them are close.
const TOGETHER: f64 = 0.6;
/// Losses no further above the untouched loss than so many times the highest running median there
/// are no spikes.
const TAIL: f64 = 3.0;
/// Integral of the squared triweight kernel of reach 1.
const SQUARED_KERNEL: f64 = 350.0 / 429.0;
/// More points a decade are averaged in blocks down to this, which the smoother would do anyway.
const DENSEST: f64 = 60.0;
/// Decades around the suggestion, downwards and upwards, in which the best rate lies in four
/// sweeps of five with that status.
const OK_INTERVAL: (f64, f64) = (0.25, 0.65);
const WEAK_INTERVAL: (f64, f64) = (0.8, 0.6);

/// What the rule says of a curve.
#[derive(Debug, Clone, PartialEq)]
pub struct Reading {
    /// The suggested rate; NaN where the status is [`Status::None`].
    pub lr: f64,
    /// The rates that may well be as good.
    pub interval: (f64, f64),
    /// The smooth loss at the suggestion.
    pub loss: f64,
    /// Whether to believe it.
    pub status: Status,
    /// Why not; empty for [`Status::Ok`].
    pub reason: String,
    /// The drop of the loss over the standard error of the smooth curve; huge without noise.
    pub snr: f64,
}

/// Whether to believe a suggestion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// The curve shows a drop and where it ends.
    Ok,
    /// It shows one of them, or little more than noise.
    Weak,
    /// It shows nothing.
    None,
}

impl Status {
    /// Its name in the Python interface.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Weak => "weak",
            Self::None => "none",
        }
    }
}

/// A rate between where the loss has fallen and where it breaks away, and whether to believe it.
///
/// The losses are the raw ones. With x the decimal logarithm of the rate:
///
/// 1. The curve begins at the first finite loss and ends before two in a row that are not, or a
///    last one; other such are dropped.
/// 2. `P`, the untouched loss, is the median of the first `start` of a running median of 3, and
///    `sigma` the noise there, by the median absolute difference of neighbours. Losses are capped
///    at `P + 3 |P - least| + 5 sigma`.
/// 3. `s` is a centred local-linear smoother of them with standard error `e`, which is at least the
///    median of `|s - P|` in the untouched part: noise may be correlated. `D = P - min s` is the
///    drop, `D / e` its signal-to-noise ratio.
/// 4. `t` is where `share` of the drop is done. `d`, the break, is the first x behind the minimum
///    with `s` above it by `max(rise D, noise e)`, or `lead` behind the first of `crowd` spikes of
///    the raw loss with at most 0.6 decades between neighbours, or where the loss is no longer
///    finite: whichever is soonest.
/// 5. x is `d - mix min(d - t, far) - offset`; the weaker the signal, the more it is `d - gap`.
///    It is shifted for the iterations a decade (3 to 100), and for `steps` (10 to 100,000), and
///    stays 0.2 below the break, and in the swept range.
/// 6. Without a break `d` is the end of the curve. That is well if `s` ends above its least by
///    `max(0.03 D, noise e)`, or the sweep is known to have `diverged`: it is breaking away;
///    otherwise the answer is weak, or none where the signal is weak too. Weak are also an answer
///    below the swept range, one from a weak signal, and one from a curve that is lowest in its
///    untouched part: it is none.
///
/// Nothing changes when the losses are scaled or shifted.
///
/// # Errors
/// The lengths differ, there is no point, a rate is not a finite number above 0 or below the one
/// before it, `steps` is below 1, or a constant is out of range.
pub fn robust(
    lrs: &[f64],
    losses: &[f64],
    steps: Option<f64>,
    diverged: bool,
    constants: &Constants,
) -> Result<Reading> {
    constants.check()?;
    let curve = Prepared::new(lrs, losses, constants)?;
    check_steps(steps)?;
    Ok(match curve {
        Some(curve) => curve.read(steps, diverged, constants),
        None => nothing(too_little(lrs, losses), f64::NAN),
    })
}

/// The smooth curve that [`robust`] reads: NaN where it leaves points out, and everywhere where it
/// has nothing to read.
///
/// # Errors
/// As [`robust`].
pub fn smooth_local(lrs: &[f64], losses: &[f64]) -> Result<Vec<f64>> {
    let mut all = vec![f64::NAN; losses.len()];
    if let Some(curve) = Prepared::new(lrs, losses, &Constants::default())? {
        let read = readable(losses).map(|index| (index, losses[index]));
        let read = read.filter(|(_, loss)| loss.is_finite());
        for (place, (index, _)) in read.enumerate() {
            all[index] = curve.smooth[place / curve.block];
        }
    }
    Ok(all)
}

/// How far other suggestions lie from `lr`, in decades: the median of `|log10(other / lr)|` over
/// those that are finite and above 0; NaN where there are none, or no `lr`.
#[must_use]
pub fn decades_apart(lr: f64, others: &[f64]) -> f64 {
    let real = |rate: &f64| rate.is_finite() && *rate > 0.0;
    let mut apart: Vec<f64> =
        others.iter().filter(|rate| real(rate)).map(|rate| math::log10(rate / lr).abs()).collect();
    if apart.is_empty() || !real(&lr) { f64::NAN } else { median(&mut apart) }
}

fn check_steps(steps: Option<f64>) -> Result<()> {
    match steps {
        Some(steps) if !(steps >= 1.0 && steps.is_finite()) => {
            Err(value_error!("`steps` must be a number of at least 1, got {steps:?}"))
        }
        _ => Ok(()),
    }
}

fn nothing(reason: String, snr: f64) -> Reading {
    let nan = f64::NAN;
    Reading { lr: nan, interval: (nan, nan), loss: nan, status: Status::None, reason, snr }
}

/// The points that are read: from the first finite loss to before two in a row that are not finite,
/// or before a last one that is not.
fn readable(losses: &[f64]) -> Range<usize> {
    let start = losses.iter().position(|loss| loss.is_finite()).unwrap_or(losses.len());
    let bad = |index: &usize| !losses[*index].is_finite();
    let ends = |index: &usize| bad(index) && losses.get(index + 1).is_none_or(|x| !x.is_finite());
    start..(start..losses.len()).find(ends).unwrap_or(losses.len())
}

/// Why a curve has too little to be read.
fn too_little(lrs: &[f64], losses: &[f64]) -> String {
    let read = readable(losses);
    let finite = read.clone().filter(|index| losses[*index].is_finite()).count();
    if finite < FEWEST {
        let cut = if read.end < losses.len() { " before the loss is no longer finite" } else { "" };
        return format!("it needs {FEWEST} finite losses and has {finite}{cut}");
    }
    let width = math::log10(lrs[read.end - 1] / lrs[read.start]);
    format!("it needs rates that cover a decade, and these cover {width:.2}")
}

/// How a curve ends.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ending {
    /// It breaks away, or turns to.
    Broken,
    /// It does not.
    Open,
    /// It breaks away and does not fall before.
    Early,
}

/// A curve made ready to be read.
struct Prepared {
    /// Decimal logarithms of the rates.
    x: Vec<f64>,
    /// The first and the last rate.
    ends: (f64, f64),
    /// The losses as they are.
    raw: Vec<f64>,
    smooth: Vec<f64>,
    untouched: f64,
    sigma: f64,
    /// The highest running median of the untouched part, over `untouched`.
    tail: f64,
    /// Points that stand for the untouched loss.
    first: usize,
    /// Standard error of `smooth`.
    error: f64,
    /// Points a decade, of those given.
    density: f64,
    /// Points given for each one kept.
    block: usize,
    /// Where the loss is no longer finite, if it is so at the end.
    lost: Option<f64>,
}

impl Prepared {
    fn new(lrs: &[f64], losses: &[f64], constants: &Constants) -> Result<Option<Self>> {
        check(lrs, losses)?;
        let mut before = 0.0;
        for (index, &lr) in lrs.iter().enumerate() {
            if lr <= 0.0 {
                return Err(value_error!(
                    "`lrs[{index}]` must be above 0, for its logarithm is taken, got {lr:?}"
                ));
            }
            if lr < before {
                return Err(value_error!(
                    "`lrs` must not fall, got {before:?} and then {lr:?} at {index}"
                ));
            }
            before = lr;
        }
        let read = readable(losses);
        let mut x = math::logs(&lrs[read.clone()]);
        for log in &mut x {
            *log *= std::f64::consts::LOG10_E;
        }
        let mut raw = losses[read.clone()].to_vec();
        if !raw.iter().all(|loss| loss.is_finite()) {
            let points = x.iter().zip(&raw).filter(|(_, loss)| loss.is_finite());
            (x, raw) = points.unzip();
        }
        let width = x.last().unwrap_or(&0.0) - x.first().unwrap_or(&0.0);
        if x.len() < FEWEST || width < NARROWEST {
            return Ok(None);
        }
        // Both have a finite loss.
        let ends = (lrs[read.start], lrs[read.end - 1]);
        let lost = lrs.get(read.end).map(|lr| math::log10(*lr));
        #[expect(clippy::cast_precision_loss, reason = "a count of points")]
        let density = (x.len() - 1) as f64 / width;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "at least 1")]
        let block = (density / DENSEST).max(1.0) as usize;
        if block > 1 {
            (x, raw) = (blocks(&x, block), blocks(&raw, block));
        }
        Ok(Some(Self { ends, lost, ..Self::measure(x, raw, density, block, constants) }))
    }

    fn measure(x: Vec<f64>, raw: Vec<f64>, density: f64, block: usize, by: &Constants) -> Self {
        let mut calm = raw.clone();
        for (calm, three) in calm[1..].iter_mut().zip(raw.windows(3)) {
            *calm = three[0].max(three[1]).min(three[0].min(three[1]).max(three[2]));
        }
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a share of a count"
        )]
        let first = ((x.len() as f64 * by.start) as usize).max(3);
        let untouched = median(&mut calm[..first].to_vec());
        let mut steps: Vec<f64> =
            raw[..first].windows(2).map(|pair| (pair[1] - pair[0]).abs()).collect();
        let sigma = math::NORMAL * std::f64::consts::FRAC_1_SQRT_2 * median(&mut steps);
        let highest = calm[..first].iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let least = calm.iter().copied().fold(f64::INFINITY, f64::min);
        let cap = untouched + 3.0 * (untouched - least) + 5.0 * sigma;
        for loss in &mut calm {
            *loss = loss.min(cap);
        }
        let smooth = local::smooth(&x, &calm, by.reach);
        #[expect(clippy::cast_precision_loss, reason = "a count of points")]
        let weight = by.reach * density / block as f64;
        // Sums of equal losses differ in their last bits, which is no drop.
        let rounding = 64.0 * f64::EPSILON * untouched.abs();
        let mut wander: Vec<f64> =
            smooth[..first].iter().map(|loss| (loss - untouched).abs()).collect();
        let error = (sigma * (SQUARED_KERNEL / weight).sqrt()).max(median(&mut wander));
        let error = error.max(rounding);
        let tail = highest - untouched;
        let (ends, lost) = ((0.0, 0.0), None);
        Self { x, ends, raw, smooth, untouched, sigma, tail, first, error, density, block, lost }
    }

    fn read(&self, steps: Option<f64>, diverged: bool, by: &Constants) -> Reading {
        let (x, smooth) = (&self.x, &self.smooth);
        let spike = self.spike(by);
        let within = spike.map_or(x.len(), |at| x.partition_point(|x| *x <= at).max(1));
        let lowest = super::first_least(smooth[..within].iter().copied());
        let drop = self.untouched - smooth[lowest];
        let snr = if drop > 0.0 { drop / self.error } else { 0.0 };

        let down = if drop > 0.0 {
            let level = self.untouched - by.share * drop;
            self.crossing(0, |loss| loss <= level, level).unwrap_or(x[lowest])
        } else {
            x[0]
        };
        let level = smooth[lowest] + (by.rise * drop).max(by.noise * self.error);
        let up = self.crossing(lowest, |loss| loss > level, level);
        let broken = [up, spike, self.lost].into_iter().flatten().reduce(f64::min);
        let last = x[x.len() - 1];
        let (up, far, beyond) =
            broken.map_or((last, by.far_open, by.beyond), |at| (at, by.far, 0.0));
        let rise = smooth[smooth.len() - 1] - smooth[lowest];
        let turned = diverged || rise > (TURNED * drop).max(by.noise * self.error);
        let ending = match broken {
            Some(_) if lowest < self.first => Ending::Early,
            Some(_) => Ending::Broken,
            None if turned => Ending::Broken,
            None => Ending::Open,
        };

        let by_drop = by.mix * (up - down).clamp(0.0, far) + by.offset;
        let trust = 1.0 / (1.0 + fourth(by.trust / snr));
        let gap = trust * by_drop + (1.0 - trust) * by.gap - beyond;
        let density = self.density.clamp(DENSITIES.0, DENSITIES.1);
        let mut at = up - gap + by.density * math::log10(density / TUNED_DENSITY);
        if let Some(steps) = steps {
            at -= by.length * math::log10(steps.clamp(STEPS.0, STEPS.1) / TUNED_STEPS);
        }
        let highest = if broken.is_some() { up - BELOW } else { last };
        self.judge(at.min(highest), up, snr, ending, by)
    }

    fn judge(&self, at: f64, up: f64, snr: f64, ending: Ending, by: &Constants) -> Reading {
        let (status, reason) = match ending {
            Ending::Open if snr < by.weak => {
                let reason = "the loss neither falls nor breaks away: it is all noise";
                return nothing(reason.to_owned(), snr);
            }
            Ending::Open => (
                Status::Weak,
                "the loss never breaks away: the sweep ends too early to tell the highest rate"
                    .to_owned(),
            ),
            _ if at < self.x[0] => (
                Status::Weak,
                "it would lie below the rates of the sweep: begin at a lower one".to_owned(),
            ),
            _ if snr < by.weak => (
                Status::Weak,
                format!(
                    "the fall of the loss is only {snr:.1} times the noise: this is a guess from \
                     where it breaks away"
                ),
            ),
            Ending::Early => (
                Status::Weak,
                "the loss is lowest where the sweep begins: begin at a lower rate".to_owned(),
            ),
            Ending::Broken => (Status::Ok, String::new()),
        };
        let (below, above) = if status == Status::Ok { OK_INTERVAL } else { WEAK_INTERVAL };
        let (first, last) = self.ends;
        let rate = |x: f64| math::power_of_ten(x).clamp(first, last);
        Reading {
            lr: rate(at),
            interval: (rate(at - below), rate((at + above).min(up.max(at)))),
            loss: self.loss_at(at),
            status,
            reason,
            snr,
        }
    }

    /// The x at which the smooth curve first meets `met` from index `from` on, between two points
    /// where the line between them has `level`.
    fn crossing(&self, from: usize, met: impl Fn(f64) -> bool, level: f64) -> Option<f64> {
        let index = from + self.smooth[from..].iter().position(|loss| met(*loss))?;
        if index == from {
            return Some(self.x[index]);
        }
        let (a, b) = (self.smooth[index - 1], self.smooth[index]);
        let share = if a == b { 1.0 } else { ((level - a) / (b - a)).clamp(0.0, 1.0) };
        Some((1.0 - share) * self.x[index - 1] + share * self.x[index])
    }

    /// Where the raw loss begins to spike again and again: above what the noise and the tail of
    /// the untouched part explain.
    fn spike(&self, by: &Constants) -> Option<f64> {
        let limit = self.untouched + (by.spike * self.sigma).max(TAIL * self.tail);
        #[expect(clippy::cast_precision_loss, reason = "a count of points")]
        let density = self.density / self.block as f64;
        let crowd = by.crowd * (density / TUNED_DENSITY).sqrt().sqrt();
        let (mut start, mut before, mut count) = (0.0, f64::NEG_INFINITY, 0.0);
        for (x, loss) in self.x.iter().zip(&self.raw).skip(self.first) {
            if *loss > limit {
                if x - before > TOGETHER {
                    (start, count) = (*x, 0.0);
                }
                (before, count) = (*x, count + 1.0);
                if count >= crowd {
                    return Some((start + by.lead).min(self.x[self.x.len() - 1]));
                }
            }
        }
        None
    }

    fn loss_at(&self, at: f64) -> f64 {
        let right = self.x.partition_point(|x| *x < at).clamp(1, self.x.len() - 1);
        let (a, b) = (self.x[right - 1], self.x[right]);
        let share = if a == b { 1.0 } else { ((at - a) / (b - a)).clamp(0.0, 1.0) };
        (1.0 - share) * self.smooth[right - 1] + share * self.smooth[right]
    }
}

fn fourth(x: f64) -> f64 {
    x * x * x * x
}

/// The means of `block` values each; of what is left over at the end likewise.
fn blocks(values: &[f64], block: usize) -> Vec<f64> {
    #[expect(clippy::cast_precision_loss, reason = "a count of points")]
    let mean = |part: &[f64]| part.iter().sum::<f64>() / part.len() as f64;
    values.chunks(block).map(mean).collect()
}

/// The median: of an even number, the mean of the two in the middle.
fn median(values: &mut [f64]) -> f64 {
    let (half, odd) = (values.len() / 2, values.len() % 2 == 1);
    let (below, middle, _) = values.select_nth_unstable_by(half, f64::total_cmp);
    if odd {
        return *middle;
    }
    let lower = below.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    f64::midpoint(lower, *middle)
}

#[cfg(test)]
mod tests {
    use super::{Constants, Status, decades_apart, median, robust, smooth_local};

    #[test]
    fn medians_are_of_the_middle() {
        let of = |values: &[f64]| median(&mut values.to_vec());
        assert_eq!((of(&[3.0]), of(&[3.0, 1.0]), of(&[9.0, 1.0, 4.0])), (3.0, 2.0, 4.0));
        assert_eq!(of(&[8.0, 1.0, 2.0, 4.0]), 3.0);
    }

    #[test]
    fn agreement_is_the_median_distance_of_those_that_say_something() {
        let apart = decades_apart(0.01, &[0.1, f64::NAN, 1e-4, 0.01]);
        assert!((apart - 1.0).abs() < 1e-14);
        assert!(decades_apart(0.01, &[f64::NAN]).is_nan());
        assert!(decades_apart(f64::NAN, &[0.1]).is_nan());
    }

    #[test]
    fn too_short_and_too_narrow_curves_say_nothing() {
        let losses = [1.0; 20];
        let narrow: Vec<f64> = (0..20).map(|i| 1.0 + f64::from(i)).map(|x| x / 3.0).collect();
        for (lrs, losses) in [(&narrow[..9], &losses[..9]), (&[0.1; 20], &losses[..])] {
            let reading = robust(lrs, losses, None, false, &Constants::default()).unwrap();
            assert_eq!(reading.status, Status::None);
            assert!(reading.lr.is_nan());
            let words = ["10 finite losses and has 9", "cover a decade, and these cover 0.00"];
            assert!(words.iter().any(|words| reading.reason.contains(words)), "{}", reading.reason);
        }
        assert!(smooth_local(&narrow[..9], &losses[..9]).unwrap().iter().all(|s| s.is_nan()));
    }

    #[test]
    fn constants_that_no_curve_can_be_read_with_are_refused() {
        let lrs: Vec<f64> = (0..40).map(|i| 1e-6 * f64::from(1 << (i / 2))).collect();
        for (constants, words) in [
            (Constants { reach: -1.0, ..Constants::default() }, "`reach` must be from 0.001"),
            (Constants { start: 2.0, ..Constants::default() }, "`start` must be from 0 to 1"),
            (Constants { share: f64::NAN, ..Constants::default() }, "`share`"),
            (Constants { mix: f64::NAN, ..Constants::default() }, "must be finite, got NaN"),
        ] {
            let error = robust(&lrs, &[1.0; 40], None, false, &constants).unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        }
    }

    #[test]
    fn a_curve_without_noise_is_as_clear_as_can_be() {
        let lrs: Vec<f64> = (0..40).map(|i| f64::from(1 << (i / 2)) * 1e-6).collect();
        let losses: Vec<f64> = (0..40).map(|i| if i < 20 { 2.0 } else { 1.0 }).collect();
        let reading = robust(&lrs, &losses, None, false, &Constants::default()).unwrap();
        assert!(reading.snr > 1e10);
        assert_eq!(reading.status, Status::Weak);
        for loss in [2.0, 0.1, 0.0, -1e9 / 3.0] {
            let flat = robust(&lrs, &[loss; 40], None, false, &Constants::default()).unwrap();
            assert_eq!(flat.status, Status::None);
            assert!(flat.snr < 1.0);
        }
    }
}
