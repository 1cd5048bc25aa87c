//! Ignite's suggestion.

use super::Suggested;
use super::curve::{check, gradient};
use crate::error::Result;

/// The rate at the steepest slope of the stored losses over their index, left of the least loss,
/// as ignite suggests; `None` where it refuses to.
///
/// A loss that is not a number counts as the least. Up to the first least loss there must be
/// three points; slopes are the central differences between them, in float32 as ignite takes
/// them, so that equal ones are the same there and here. One that is not a number counts as the
/// least.
///
/// ```
/// use lehr_core::suggest::ignite;
/// let lrs = [0.1, 0.2, 0.4, 0.8];
/// assert_eq!(ignite(&lrs, &[4.0, 3.9, 2.0, 9.0])?, Some((0.2, (0.2, 3.9))));
/// # Ok::<(), lehr_core::Error>(())
/// ```
pub fn ignite(lrs: &[f64], stored: &[f64]) -> Result<Option<Suggested>> {
    check(lrs, stored)?;
    #[expect(clippy::cast_possible_truncation, reason = "ignite's tensors are of float32")]
    let single: Vec<f64> = stored.iter().map(|&loss| f64::from(loss as f32)).collect();
    let least = super::first_least(single.iter().copied());
    if least < 2 {
        return Ok(None);
    }
    #[expect(clippy::cast_possible_truncation, reason = "and so are their differences")]
    let slopes = (1..least).map(|index| f64::from(gradient(&single[..=least], index) as f32));
    let index = 1 + super::first_least(slopes);
    Ok(Some((lrs[index], (lrs[index], stored[index]))))
}

#[cfg(test)]
mod tests {
    use super::ignite;

    #[test]
    fn what_comes_after_the_least_loss_takes_no_part() {
        let lrs: Vec<f64> = (1..=6).map(f64::from).collect();
        let losses = [9.0, 8.0, 4.0, 3.0, 30.0, 3.5];
        assert_eq!(ignite(&lrs, &losses).unwrap().unwrap(), (2.0, (2.0, 8.0)));
    }

    #[test]
    fn a_curve_that_rises_at_once_has_no_suggestion() {
        assert_eq!(ignite(&[1.0, 2.0, 3.0], &[1.0, 2.0, 3.0]).unwrap(), None);
        assert_eq!(ignite(&[1.0, 2.0, 3.0], &[2.0, f64::NAN, 3.0]).unwrap(), None);
        assert_eq!(ignite(&[1.0], &[2.0]).unwrap(), None);
    }
}
