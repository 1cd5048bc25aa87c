//! A tenth of the rate at the least loss.

use super::Suggested;
use super::curve::{Curve, window};
use crate::error::Result;

/// A tenth of the rate at the first least loss, and the point of that loss.
///
/// With a `window` above 1 the least moving mean is looked for: over `window` consecutive losses
/// that lie wholly on the curve, standing for the middle one (row L10). `window` is odd; on a
/// shorter curve it is the largest odd number of points there is.
///
/// ```
/// let lrs = [0.1, 1.0, 10.0];
/// assert_eq!(lehr_core::suggest::minimum(&lrs, &[3.0, 2.0, 5.0], 1)?, (0.1, (1.0, 2.0)));
/// # Ok::<(), lehr_core::Error>(())
/// ```
pub fn minimum(lrs: &[f64], losses: &[f64], window: usize) -> Result<Suggested> {
    let curve = Curve::new(lrs, losses)?;
    let width = self::window(window, curve.len())?;
    let (mut best, mut index) = (f64::INFINITY, 0);
    // All windows are of one width: the least sum is the least mean.
    for (start, span) in curve.losses.windows(width).enumerate() {
        let sum = span.iter().sum();
        if sum < best {
            (best, index) = (sum, start);
        }
    }
    let (lr, point) = curve.at(index + width / 2);
    Ok((lr / 10.0, point))
}

#[cfg(test)]
mod tests {
    use super::minimum;

    #[test]
    fn the_first_of_equal_losses_is_the_minimum() {
        assert_eq!(minimum(&[1.0, 2.0, 3.0], &[5.0, 4.0, 4.0], 1).unwrap(), (0.2, (2.0, 4.0)));
    }

    #[test]
    fn a_moving_mean_passes_over_a_single_dip() {
        let losses = [9.0, 2.0, 9.0, 5.0, 4.0, 5.0, 9.0];
        let lrs = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0];
        assert_eq!(minimum(&lrs, &losses, 1).unwrap().1, (2.0, 2.0));
        assert_eq!(minimum(&lrs, &losses, 3).unwrap().1, (5.0, 4.0));
    }

    #[test]
    fn any_curve_of_one_point_or_more_has_an_answer() {
        assert_eq!(minimum(&[1.0], &[3.0], 5).unwrap(), (0.1, (1.0, 3.0)));
        assert_eq!(minimum(&[1.0, 2.0], &[f64::NAN, 3.0], 1).unwrap(), (0.2, (2.0, 3.0)));
        assert_eq!(minimum(&[1.0, 2.0], &[f64::NAN; 2], 1).unwrap().0, 0.1);
    }
}
