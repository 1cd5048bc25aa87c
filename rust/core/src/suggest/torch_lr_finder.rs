//! The suggestion of torch-lr-finder.

use super::Suggested;
use super::curve::{check, gradient};
use crate::error::Result;

/// The rate at the steepest slope of the stored losses over their index, as torch-lr-finder
/// suggests; `None` where it refuses to.
///
/// The first `skip_start` points and the last `skip_end` are left out, and there must be two more
/// than those. Slopes are central differences, one-sided at the ends; one that is not a number
/// counts as the least, so the suggestion stands at a loss that is not finite, or beside it.
///
/// ```
/// use lehr_core::suggest::torch_lr_finder;
/// let lrs = [0.1, 0.2, 0.4, 0.8];
/// assert_eq!(torch_lr_finder(&lrs, &[4.0, 3.9, 2.0, 1.9], 0, 0)?, Some((0.2, (0.2, 3.9))));
/// # Ok::<(), lehr_core::Error>(())
/// ```
pub fn torch_lr_finder(
    lrs: &[f64],
    stored: &[f64],
    skip_start: usize,
    skip_end: usize,
) -> Result<Option<Suggested>> {
    check(lrs, stored)?;
    if stored.len().saturating_sub(skip_start).saturating_sub(skip_end) < 2 {
        return Ok(None);
    }
    let read = &stored[skip_start..stored.len() - skip_end];
    let slopes = (0..read.len()).map(|index| gradient(read, index));
    let index = skip_start + super::first_least(slopes);
    Ok(Some((lrs[index], (lrs[index], stored[index]))))
}

#[cfg(test)]
mod tests {
    use super::torch_lr_finder;

    #[test]
    fn points_left_out_take_no_part() {
        let lrs: Vec<f64> = (1..=6).map(f64::from).collect();
        let losses = [9.0, 1.0, 5.0, 4.0, 2.0, -9.0];
        assert_eq!(torch_lr_finder(&lrs, &losses, 2, 1).unwrap().unwrap().0, 5.0);
        assert_eq!(torch_lr_finder(&lrs, &losses, 2, 3).unwrap(), None);
        assert_eq!(torch_lr_finder(&lrs, &losses, usize::MAX, 1).unwrap(), None);
    }

    #[test]
    fn a_slope_that_is_no_number_counts_as_the_least() {
        let lrs: Vec<f64> = (1..=5).map(f64::from).collect();
        let losses = [9.0, 1.0, 5.0, f64::NAN, f64::NAN];
        assert_eq!(torch_lr_finder(&lrs, &losses, 0, 0).unwrap().unwrap().0, 3.0);
    }
}
