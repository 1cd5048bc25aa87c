//! Lightning's suggestion.

use super::Suggested;
use super::curve::check;
use crate::error::Result;

/// The rate at the steepest slope of the stored losses over the rate itself, not its logarithm, as
/// Lightning suggests since 2.5.3; `None` where it has nothing to say.
///
/// The first `skip_begin` points and the last `skip_end` are left out, then those that are not
/// finite; of fewer than two left there is no slope. With `h0` and `h1` the gaps of the rates
/// before and after a point, the slope is `(h0 (y2 - y1) / h1 + h1 (y1 - y0) / h0) / (h0 + h1)`,
/// one-sided at the ends; one that is not a number counts as the least. All of it in float32 and
/// in the order of torch's `gradient`: at small rates the rounding of float32 divided by the tiny
/// gaps is larger than the slopes, and belongs to what Lightning answers.
///
/// ```
/// use lehr_core::suggest::lightning;
/// let lrs = [0.1, 0.2, 0.4, 0.8];
/// assert_eq!(lightning(&lrs, &[4.0, 3.9, 2.0, 1.9], 0, 0)?, Some((0.4, (0.4, 2.0))));
/// # Ok::<(), lehr_core::Error>(())
/// ```
pub fn lightning(
    lrs: &[f64],
    stored: &[f64],
    skip_begin: usize,
    skip_end: usize,
) -> Result<Option<Suggested>> {
    check(lrs, stored)?;
    let end = stored.len().saturating_sub(skip_end);
    let read = skip_begin.min(end)..end;
    let finite = |index: &usize| stored[*index].is_finite();
    let kept: Vec<usize> = read.filter(finite).collect();
    if kept.len() < 2 {
        return Ok(None);
    }
    #[expect(clippy::cast_possible_truncation, reason = "Lightning's tensors are of float32")]
    let single = |values: &[f64]| kept.iter().map(|&i| values[i] as f32).collect::<Vec<f32>>();
    let slopes = gradient(&single(lrs), &single(stored));
    let index = kept[super::first_least(slopes.into_iter().map(f64::from))];
    Ok(Some((lrs[index], (lrs[index], stored[index]))))
}

/// The gradient of `y` over `x`, of two points or more, rounded as torch does.
fn gradient(x: &[f32], y: &[f32]) -> Vec<f32> {
    let last = x.len() - 1;
    let edge = |left: usize| (y[left + 1] - y[left]) / (x[left + 1] - x[left]);
    let inner = (1..last).map(|i| {
        let (before, after) = (x[i] - x[i - 1], x[i + 1] - x[i]);
        let a = -after / (before * (before + after));
        let b = (after - before) / (before * after);
        let c = before / (after * (before + after));
        a * y[i - 1] + b * y[i] + c * y[i + 1]
    });
    std::iter::once(edge(0)).chain(inner).chain(std::iter::once(edge(last - 1))).collect()
}

#[cfg(test)]
mod tests {
    use super::lightning;

    #[test]
    fn slopes_are_over_the_rate_itself() {
        // Over the logarithm the second fall is the steeper one.
        let lrs = [1e-4, 1e-3, 1e-2, 1e-1, 1.0];
        let losses = [5.0, 4.9, 4.8, 1.0, 0.9];
        assert_eq!(lightning(&lrs, &losses, 0, 0).unwrap().unwrap().0, 1e-4);
    }

    #[test]
    fn what_is_left_out_or_not_finite_takes_no_part() {
        let lrs: Vec<f64> = (1..=6).map(f64::from).collect();
        let losses = [9.0, 1.0, 5.0, f64::NAN, 2.0, -9.0];
        assert_eq!(lightning(&lrs, &losses, 1, 1).unwrap().unwrap(), (5.0, (5.0, 2.0)));
        assert_eq!(lightning(&lrs, &losses, 3, 1).unwrap(), None);
        assert_eq!(lightning(&lrs, &losses, 9, 9).unwrap(), None);
    }
}
