//! A factor that falls when a metric no longer improves.

use crate::error::{Result, value_error};

/// Which way a metric improves.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Mode {
    /// Downwards, as a loss.
    Min,
    /// Upwards, as an accuracy.
    Max,
}

/// What an improvement is measured against.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ThresholdMode {
    /// A share of the best value.
    Rel,
    /// The metric's own unit.
    Abs,
}

/// A factor, 1 at first, multiplied by `reduction` whenever `patience` observations in a row
/// brought no improvement and one more brings none.
#[derive(Clone, Debug, PartialEq)]
pub struct Plateau {
    reduction: f64,
    patience: u64,
    mode: Mode,
    threshold: f64,
    threshold_mode: ThresholdMode,
    cooldown: u64,
    factor: f64,
    best: Option<f64>,
    bad: u64,
    cooling: u64,
}

impl Plateau {
    /// Watch a metric.
    pub fn new(
        reduction: f64,
        patience: u64,
        mode: Mode,
        threshold: f64,
        threshold_mode: ThresholdMode,
        cooldown: u64,
    ) -> Result<Self> {
        if !(reduction > 0.0 && reduction < 1.0) {
            return Err(value_error!("`factor` must be between 0 and 1, got {reduction:?}"));
        }
        if !(threshold.is_finite() && threshold >= 0.0) {
            return Err(value_error!(
                "`threshold` must be finite and at least 0, got {threshold:?}"
            ));
        }
        let (factor, best, bad, cooling) = (1.0, None, 0, 0);
        Ok(Self {
            reduction,
            patience,
            mode,
            threshold,
            threshold_mode,
            cooldown,
            factor,
            best,
            bad,
            cooling,
        })
    }

    /// Take the metric of one more validation; return whether the factor fell. A metric that is
    /// not finite is no improvement.
    pub fn observe(&mut self, metric: f64) -> bool {
        if self.improves(metric) {
            self.best = Some(metric);
            self.bad = 0;
        } else {
            self.bad = self.bad.saturating_add(1);
        }
        if self.cooling > 0 {
            self.cooling -= 1;
            self.bad = 0;
        }
        if self.bad <= self.patience {
            return false;
        }
        self.factor *= self.reduction;
        self.cooling = self.cooldown;
        self.bad = 0;
        true
    }

    fn improves(&self, metric: f64) -> bool {
        if !metric.is_finite() {
            return false;
        }
        let Some(best) = self.best else { return true };
        match (self.mode, self.threshold_mode) {
            (Mode::Min, ThresholdMode::Rel) => metric < best * (1.0 - self.threshold),
            (Mode::Min, ThresholdMode::Abs) => metric < best - self.threshold,
            (Mode::Max, ThresholdMode::Rel) => metric > best * (1.0 + self.threshold),
            (Mode::Max, ThresholdMode::Abs) => metric > best + self.threshold,
        }
    }

    /// The factor, the best metric, the observations since it, and those of the cooldown left.
    #[must_use]
    pub fn state(&self) -> (f64, Option<f64>, u64, u64) {
        (self.factor, self.best, self.bad, self.cooling)
    }

    /// Go on from a state.
    pub fn resume(&mut self, factor: f64, best: Option<f64>, bad: u64, cooling: u64) -> Result<()> {
        if !(0.0..=1.0).contains(&factor) || best.is_some_and(|best| !best.is_finite()) {
            return Err(value_error!(
                "the state of a plateau must hold a factor between 0 and 1 and a best metric, got \
                 {factor:?} and {best:?}"
            ));
        }
        (self.factor, self.best, self.bad, self.cooling) = (factor, best, bad, cooling);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{Mode, Plateau, ThresholdMode};

    #[test]
    fn the_factor_falls_after_patience_and_waits_for_the_cooldown() {
        let mut plateau = Plateau::new(0.5, 1, Mode::Min, 0.0, ThresholdMode::Rel, 2).unwrap();
        let fell: Vec<bool> =
            [1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0].map(|metric| plateau.observe(metric)).into();
        assert_eq!(fell, [false, false, true, false, false, false, true]);
        assert_eq!(plateau.state(), (0.25, Some(1.0), 0, 2));
    }

    #[test]
    fn what_is_no_number_is_no_improvement() {
        let mut plateau = Plateau::new(0.5, 0, Mode::Max, 0.0, ThresholdMode::Abs, 0).unwrap();
        assert!(plateau.observe(f64::NAN));
        assert!(!plateau.observe(0.0));
        assert!(plateau.observe(f64::NAN));
        assert!(!plateau.observe(0.1));
        assert!(plateau.observe(0.1));
    }
}
