//! The curve a rule reads, checked once.

use std::borrow::Cow;

use crate::error::{Error, Result, value_error};
use crate::math;

/// The points of a curve that have a finite loss; its first point where none has.
#[derive(Debug)]
pub(super) struct Curve<'a> {
    pub lrs: Cow<'a, [f64]>,
    pub losses: Cow<'a, [f64]>,
}

impl<'a> Curve<'a> {
    pub fn new(lrs: &'a [f64], losses: &'a [f64]) -> Result<Self> {
        check(lrs, losses)?;
        if all(losses, f64::is_finite) {
            return Ok(Self { lrs: lrs.into(), losses: losses.into() });
        }
        let points = lrs.iter().zip(losses).filter(|(_, loss)| loss.is_finite());
        let (kept_lrs, kept_losses): (Vec<f64>, Vec<f64>) = points.unzip();
        if kept_lrs.is_empty() {
            return Ok(Self { lrs: lrs[..1].into(), losses: losses[..1].into() });
        }
        Ok(Self { lrs: kept_lrs.into(), losses: kept_losses.into() })
    }

    /// The same for a rule that takes the logarithm of the rates.
    pub fn with_log(lrs: &'a [f64], losses: &'a [f64]) -> Result<Self> {
        check(lrs, losses)?;
        if all(lrs, |lr| lr > 0.0) {
            return Self::new(lrs, losses);
        }
        let index = lrs.iter().position(|lr| *lr <= 0.0).unwrap_or(0);
        Err(value_error!(
            "`lrs[{index}]` must be above 0, for its logarithm is taken, got {:?}",
            lrs[index]
        ))
    }

    pub fn len(&self) -> usize {
        self.lrs.len()
    }

    /// The point at `index` as the suggestion.
    pub fn at(&self, index: usize) -> super::Suggested {
        (self.lrs[index], (self.lrs[index], self.losses[index]))
    }

    /// The loss at `lr`, interpolated linearly over `ln lr`; beyond the curve that of its end.
    pub fn loss_at(&self, lr: f64) -> f64 {
        // Most often it is one of the curve's own.
        if let Some(index) = self.lrs.iter().position(|one| *one == lr) {
            return self.losses[index];
        }
        let ln = |x| math::ln(x, 0.0).0;
        for (x, y) in self.lrs.windows(2).zip(self.losses.windows(2)) {
            if (x[0] < lr) != (x[1] < lr) {
                let share = (ln(lr) - ln(x[0])) / (ln(x[1]) - ln(x[0]));
                return (1.0 - share) * y[0] + share * y[1];
            }
        }
        let gap = |index: &usize| (self.lrs[*index] - lr).abs();
        let nearest = (0..self.len()).min_by(|a, b| gap(a).total_cmp(&gap(b)));
        self.losses[nearest.unwrap_or(0)]
    }
}

/// Check that there are as many losses as rates, at least one, and that the rates are finite.
pub(crate) fn check(lrs: &[f64], losses: &[f64]) -> Result<()> {
    if lrs.len() != losses.len() {
        return Err(value_error!(
            "`lrs` and `losses` must have the same length, got {} and {}",
            lrs.len(),
            losses.len()
        ));
    }
    if losses.is_empty() {
        return Err(Error::Value("`losses` must hold at least one point, got none".to_owned()));
    }
    if all(lrs, f64::is_finite) {
        return Ok(());
    }
    let index = lrs.iter().position(|lr| !lr.is_finite()).unwrap_or(0);
    Err(value_error!("`lrs[{index}]` must be finite, got {:?}", lrs[index]))
}

/// Whether all values are as they should: every one is looked at, which vectorises.
fn all(values: &[f64], fine: impl Fn(f64) -> bool) -> bool {
    values.iter().fold(true, |so_far, value| so_far & fine(*value))
}

/// The number of points to average, `window` or the largest odd number that `n` points have.
pub(super) fn window(window: usize, n: usize) -> Result<usize> {
    if window % 2 == 1 {
        Ok(window.min(n - (n + 1) % 2))
    } else {
        Err(value_error!("`window` must be an odd number of at least 1, got {window}"))
    }
}

/// The gradient of `y` over its index: central differences, one-sided at the ends.
pub(super) fn gradient(y: &[f64], index: usize) -> f64 {
    let last = y.len() - 1;
    let (low, high) = (index.saturating_sub(1), (index + 1).min(last));
    if high - low == 2 { (y[high] - y[low]) / 2.0 } else { y[high] - y[low] }
}

#[cfg(test)]
mod tests {
    use super::{Curve, gradient, window};

    #[test]
    fn points_without_a_finite_loss_are_dropped() {
        let curve = Curve::new(&[1.0, 2.0, 3.0, 4.0], &[f64::NAN, 5.0, f64::INFINITY, 6.0]);
        let curve = curve.unwrap();
        assert_eq!((&*curve.lrs, &*curve.losses), (&[2.0, 4.0][..], &[5.0, 6.0][..]));
        let curve = Curve::new(&[1.0, 2.0], &[f64::NAN; 2]).unwrap();
        assert_eq!(&*curve.lrs, &[1.0]);
    }

    #[test]
    fn loss_between_two_rates_is_linear_in_their_logarithm_and_clamped() {
        let curve = Curve::with_log(&[0.01, 1.0, 100.0], &[4.0, 2.0, 8.0]).unwrap();
        for (lr, loss) in [(0.01, 4.0), (0.1, 3.0), (1.0, 2.0), (10.0, 5.0), (100.0, 8.0)] {
            assert!((curve.loss_at(lr) - loss).abs() < 1e-14, "{lr}");
        }
        assert_eq!((curve.loss_at(1e-9), curve.loss_at(1e9)), (4.0, 8.0));
        assert_eq!(Curve::new(&[3.0], &[7.0]).unwrap().loss_at(0.1), 7.0);
    }

    #[test]
    fn wrong_curves_are_refused() {
        for (lrs, losses, words) in [
            (&[1.0, 2.0][..], &[1.0][..], "same length, got 2 and 1"),
            (&[], &[], "at least one point, got none"),
            (&[1.0, f64::NAN], &[1.0, 1.0], "`lrs[1]` must be finite, got NaN"),
            (&[1.0, 0.0], &[1.0, 1.0], "`lrs[1]` must be above 0"),
        ] {
            let error = Curve::with_log(lrs, losses).unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        }
    }

    #[test]
    fn a_window_is_odd_and_fits_the_curve() {
        let fitted = [(1, 1), (3, 1), (3, 2), (3, 3), (5, 4), (5, 9)];
        let fitted = fitted.map(|(w, n)| window(w, n).unwrap());
        assert_eq!(fitted, [1, 1, 1, 3, 3, 5]);
        assert!(window(0, 5).is_err() && window(2, 5).is_err());
    }

    #[test]
    fn gradient_is_central_within_and_one_sided_at_the_ends() {
        let y = [1.0, 2.0, 4.0, 8.0];
        let all: Vec<f64> = (0..4).map(|index| gradient(&y, index)).collect();
        assert_eq!(all, [1.0, 1.5, 3.0, 4.0]);
        assert_eq!((gradient(&y[..2], 1), gradient(&y[..1], 0)), (1.0, 0.0));
    }
}
