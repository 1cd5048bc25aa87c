//! The debiased exponential average that recorder and finder share (rule 15).

use crate::error::{Result, value_error};

/// `v = beta v + (1 - beta) loss`, reported as `v / (1 - beta^k)` after `k` losses.
///
/// A loss that is not finite is reported as NaN and passed over: the average goes on from where it
/// was.
#[derive(Debug, Clone)]
pub struct Smoother {
    beta: f64,
    sum: f64,
    weight: f64,
}

impl Smoother {
    /// An average with memory `beta`, in `[0, 1)`.
    pub fn new(beta: f64) -> Result<Self> {
        if (0.0..1.0).contains(&beta) {
            Ok(Self { beta, sum: 0.0, weight: 0.0 })
        } else {
            Err(value_error!("`beta` must be at least 0 and below 1, got {beta:?}"))
        }
    }

    /// An average that goes on from the sums of another; see [`Smoother::sums`].
    pub fn resume(beta: f64, sum: f64, weight: f64) -> Result<Self> {
        Self::new(beta).map(|fresh| Self { sum, weight, ..fresh })
    }

    /// The same with a memory that is known to be in its range.
    pub(super) fn from_sums(beta: f64, sum: f64, weight: f64) -> Self {
        Self { beta, sum, weight }
    }

    /// `beta`, and the sums `v` and `1 - beta^k` so far.
    #[must_use]
    pub fn sums(&self) -> (f64, f64, f64) {
        (self.beta, self.sum, self.weight)
    }

    /// Take in `loss` and return the average so far; NaN where `loss` is not finite.
    pub fn push(&mut self, loss: f64) -> f64 {
        if !loss.is_finite() {
            return f64::NAN;
        }
        self.sum = self.beta * self.sum + (1.0 - self.beta) * loss;
        // The same recursion on losses of 1 gives 1 - beta^k without a power.
        self.weight = self.beta * self.weight + (1.0 - self.beta);
        self.sum / self.weight
    }
}

/// The averages of a whole curve as a sweep takes them, with a memory of .98.
#[must_use]
pub fn smoothed(losses: &[f64]) -> Vec<f64> {
    let mut smoother = Smoother::from_sums(0.98, 0.0, 0.0);
    losses.iter().map(|&loss| smoother.push(loss)).collect()
}

#[cfg(test)]
mod tests {
    use super::Smoother;

    #[test]
    fn first_average_is_the_first_loss() {
        let mut smoother = Smoother::new(0.98).unwrap();
        assert_eq!(smoother.push(3.0), 3.0);
    }

    #[test]
    fn non_finite_loss_is_nan_and_passed_over() {
        let mut smoother = Smoother::new(0.5).unwrap();
        smoother.push(1.0);
        assert!(smoother.push(f64::NAN).is_nan());
        assert!(smoother.push(f64::INFINITY).is_nan());
        // v: .5, then .25 + 1 = 1.25; weight: .5, then .75.
        assert_eq!(smoother.push(2.0), 1.25 / 0.75);
    }

    #[test]
    fn beta_outside_its_range_is_refused() {
        for beta in [1.0, -0.1, f64::NAN, f64::INFINITY] {
            assert!(Smoother::new(beta).is_err(), "{beta}");
        }
    }
}
