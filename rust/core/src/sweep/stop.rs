//! When a sweep ends (rule 17), and which of its points a suggestion reads.

use super::Smoother;
use crate::error::{Result, value_error};

/// Why a sweep ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// All iterations were run.
    Finished,
    /// The smoothed loss rose above the limit.
    Diverged,
    /// The second consecutive loss was NaN or infinite.
    NonFinite,
}

impl Stop {
    /// Its name in the Python interface.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Finished => "finished",
            Self::Diverged => "diverged",
            Self::NonFinite => "non-finite",
        }
    }
}

/// The record of a running sweep and its stop rule.
#[derive(Debug, Clone)]
pub struct Sweep {
    num_it: usize,
    stop_div: bool,
    smoother: Smoother,
    losses: Vec<f64>,
    smoothed: Vec<f64>,
    first: f64,
    best: f64,
    non_finite: usize,
}

impl Sweep {
    /// A sweep of `num_it` iterations; `stop_div` ends it when the loss diverges.
    pub fn new(num_it: usize, stop_div: bool, beta: f64) -> Result<Self> {
        if num_it == 0 {
            return Err(value_error!("`num_it` must be at least 1, got 0"));
        }
        Ok(Self {
            num_it,
            stop_div,
            smoother: Smoother::new(beta)?,
            losses: Vec::new(),
            smoothed: Vec::new(),
            first: f64::NAN,
            best: f64::INFINITY,
            non_finite: 0,
        })
    }

    /// Record the loss of one iteration; `Some` when it was the last.
    pub fn push(&mut self, loss: f64) -> Option<Stop> {
        let smooth = self.smoother.push(loss);
        self.losses.push(loss);
        self.smoothed.push(smooth);
        if !loss.is_finite() {
            self.non_finite += 1;
            if self.non_finite >= 2 {
                return Some(Stop::NonFinite);
            }
            return self.finished();
        }
        self.non_finite = 0;
        if self.first.is_nan() {
            self.first = smooth;
        }
        self.best = self.best.min(smooth);
        if self.stop_div && self.losses.len() > self.grace() && smooth > self.limit() {
            return Some(Stop::Diverged);
        }
        self.finished()
    }

    /// The iterations in which the average is still too young to tell divergence from noise:
    /// a tenth and 20, at most half of the sweep (row L3).
    fn grace(&self) -> usize {
        (self.num_it / 10 + 20).min(self.num_it / 2)
    }

    /// The loss that counts as divergence: four times the best, as in the reference. A best loss
    /// of 0 or below has no such multiple: there it is three times the range seen above it
    /// (row L4).
    fn limit(&self) -> f64 {
        if self.best > 0.0 {
            4.0 * self.best
        } else {
            let range = (self.first - self.best).max(-self.best);
            // A curve that never left 0 shows no scale to diverge from.
            if range > 0.0 { self.best + 3.0 * range } else { f64::INFINITY }
        }
    }

    fn finished(&self) -> Option<Stop> {
        (self.losses.len() >= self.num_it).then_some(Stop::Finished)
    }

    /// The losses as given.
    #[must_use]
    pub fn losses(&self) -> &[f64] {
        &self.losses
    }

    /// The debiased averages; NaN where the loss is not finite.
    #[must_use]
    pub fn smoothed(&self) -> &[f64] {
        &self.smoothed
    }
}

/// The range of points a suggestion reads, of `n` recorded ones of a sweep meant to have
/// `num_it`: without the first `num_it / 10` and the last 5, as in the reference. Where that
/// would drop more than half, a tenth goes at the start and a twentieth at the end (row L6).
#[must_use]
pub fn trim(n: usize, num_it: usize) -> std::ops::Range<usize> {
    let (low, high) = (num_it / 10, n.saturating_sub(5));
    if high > low && (high - low) * 2 >= n { low..high } else { n / 10..n - n / 20 }
}

#[cfg(test)]
mod tests {
    use super::{Stop, Sweep, trim};

    fn run(num_it: usize, losses: impl IntoIterator<Item = f64>) -> (usize, Option<Stop>) {
        let mut sweep = Sweep::new(num_it, true, 0.98).unwrap();
        for loss in losses {
            if let Some(stop) = sweep.push(loss) {
                return (sweep.losses().len(), Some(stop));
            }
        }
        (sweep.losses().len(), None)
    }

    #[test]
    fn a_flat_loss_runs_to_the_end() {
        assert_eq!(run(100, [1.0; 200]), (100, Some(Stop::Finished)));
    }

    #[test]
    fn one_nan_is_passed_over_and_a_second_in_a_row_stops() {
        let nan = f64::NAN;
        assert_eq!(run(10, [1.0, nan, 1.0, nan, 1.0]), (5, None));
        assert_eq!(run(10, [1.0, nan, f64::INFINITY, 1.0]), (3, Some(Stop::NonFinite)));
    }

    #[test]
    fn an_exploding_loss_diverges() {
        let losses = (0..100).map(|i| if i < 50 { 1.0 } else { 1e3 });
        assert_eq!(run(100, losses), (51, Some(Stop::Diverged)));
    }

    #[test]
    fn a_noisy_start_is_not_divergence() {
        let losses = (0..100).map(|i| if i == 0 { 1e-9 } else { 1.0 });
        assert_eq!(run(100, losses).0, 31);
    }

    #[test]
    fn noise_above_an_exact_zero_is_not_divergence() {
        let losses = (0..100).map(|i| if i < 50 { 0.0 } else { 1e-12 });
        assert_eq!(run(100, losses), (100, Some(Stop::Finished)));
    }

    #[test]
    fn negative_losses_do_not_stop_the_sweep() {
        let losses = (0..100).map(|i| -1.0 - f64::from(i) / 100.0);
        assert_eq!(run(100, losses), (100, Some(Stop::Finished)));
    }

    #[test]
    fn trim_is_the_reference_s_on_long_sweeps_and_never_empty() {
        assert_eq!(trim(100, 100), 10..95);
        assert_eq!(trim(60, 100), 10..55);
        for num_it in [1, 6, 10, 100, 1000] {
            for n in 1..=num_it {
                assert!(!trim(n, num_it).is_empty(), "{n} of {num_it}");
            }
        }
        assert_eq!(trim(0, 100), 0..0);
    }
}
