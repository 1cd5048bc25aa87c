//! The rate at which the loss stops changing its pace.

use super::curve::{Curve, gradient};
use super::{RESOLUTION, Suggested};
use crate::error::{Result, value_error};

/// The rate at the left end of an interval that slides down from the end of the curve.
///
/// With `g` the gradient of the losses over their index (central differences, one-sided at the
/// ends), the interval from `l` to `l + lr_diff` starts at the end of the curve and moves left,
/// point by point, while `|g[l + lr_diff] - g[l]| > thresh * (max loss - min loss)` (row L9). The
/// suggestion is the rate at `l` where it last held, times `adjust_value`; its point has the loss
/// interpolated over the logarithm of the rate. Where there are no more than `lr_diff` points the
/// interval is a sixth of them, as 15 is of the 85 that a sweep of 100 leaves (rows L3 and L6).
///
/// ```
/// let lrs = [1e-4, 1e-3, 1e-2, 1e-1, 1.0];
/// let losses = [5.0, 5.0, 4.0, 3.0, 9.0];
/// assert_eq!(lehr_core::suggest::slide(&lrs, &losses, 1, 0.1, 1.0)?, (1e-2, (1e-2, 4.0)));
/// # Ok::<(), lehr_core::Error>(())
/// ```
pub fn slide(
    lrs: &[f64],
    losses: &[f64],
    lr_diff: usize,
    thresh: f64,
    adjust_value: f64,
) -> Result<Suggested> {
    if lr_diff == 0 {
        return Err(value_error!("`lr_diff` must be at least 1, got 0"));
    }
    if !(thresh >= 0.0 && thresh.is_finite()) {
        return Err(value_error!("`thresh` must be a finite number of at least 0, got {thresh:?}"));
    }
    if !(adjust_value > 0.0 && adjust_value.is_finite()) {
        return Err(value_error!(
            "`adjust_value` must be a finite number above 0, got {adjust_value:?}"
        ));
    }
    let curve = Curve::with_log(lrs, losses)?;
    let n = curve.len();
    let lr_diff = if n > lr_diff { lr_diff } else { (n / 6).max(1).min(n - 1) };
    let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
    for &loss in &*curve.losses {
        low = if loss < low { loss } else { low };
        high = if loss > high { loss } else { high };
    }
    let limit = thresh * (high - low) * (1.0 + RESOLUTION);
    let gradient = |index| gradient(&curve.losses, index);

    let mut chosen = n - 1 - lr_diff;
    for left in (0..n - lr_diff).rev() {
        let change = (gradient(left + lr_diff) - gradient(left)).abs();
        // Huge losses overflow to a change of NaN, which ends the slide as well.
        if change <= limit || change.is_nan() {
            break;
        }
        chosen = left;
    }
    let lr = curve.lrs[chosen] * adjust_value;
    Ok((lr, (lr, curve.loss_at(lr))))
}

#[cfg(test)]
mod tests {
    use super::slide;

    fn curve(n: u32) -> (Vec<f64>, Vec<f64>) {
        let lrs = (0..n).map(|i| 1.0 + f64::from(i)).collect();
        // Flat, then a fall, then an ever steeper rise.
        let losses = (0..n).map(|i| f64::from((i * i) / n) - f64::from(i.min(n / 2))).collect();
        (lrs, losses)
    }

    #[test]
    fn scale_and_shift_of_the_losses_do_not_matter() {
        let (lrs, losses) = curve(64);
        let expected = slide(&lrs, &losses, 15, 0.005, 1.0).unwrap().0;
        for (scale, shift) in [(3.0, 0.0), (1e-3, 7.0), (1e6, -1e6)] {
            let moved: Vec<f64> = losses.iter().map(|y| y * scale + shift).collect();
            assert_eq!(slide(&lrs, &moved, 15, 0.005, 1.0).unwrap().0, expected);
        }
    }

    #[test]
    fn curves_of_any_length_have_an_answer_on_them() {
        for n in 1..40 {
            let (lrs, losses) = curve(n);
            let (lr, (x, y)) = slide(&lrs, &losses, 15, 0.005, 1.0).unwrap();
            let index = lrs.iter().position(|one| *one == lr).unwrap();
            assert_eq!((x, y), (lr, losses[index]));
        }
    }

    #[test]
    fn a_flat_curve_is_not_slid_along() {
        let lrs: Vec<f64> = (1..=20).map(f64::from).collect();
        assert_eq!(slide(&lrs, &[2.0; 20], 15, 0.005, 1.0).unwrap(), (5.0, (5.0, 2.0)));
        assert_eq!(slide(&lrs, &[f64::NAN; 20], 15, 0.005, 1.0).unwrap().0, 1.0);
    }

    #[test]
    fn the_factor_moves_the_point_along_the_curve() {
        let (lr, (x, y)) = slide(&[0.01, 1.0], &[4.0, 2.0], 15, 0.005, 10.0).unwrap();
        assert_eq!((lr, x), (0.1, 0.1));
        assert!((y - 3.0).abs() < 1e-14);
    }

    #[test]
    fn wrong_arguments_are_refused() {
        let check = |lr_diff, thresh, adjust| slide(&[1.0], &[1.0], lr_diff, thresh, adjust);
        for (answer, name) in [
            (check(0, 0.1, 1.0), "lr_diff"),
            (check(1, -0.1, 1.0), "thresh"),
            (check(1, f64::NAN, 1.0), "thresh"),
            (check(1, 0.1, 0.0), "adjust_value"),
            (check(1, 0.1, f64::INFINITY), "adjust_value"),
        ] {
            assert!(answer.unwrap_err().to_string().contains(name));
        }
    }
}
