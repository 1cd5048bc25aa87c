//! The rate at which the loss falls fastest.

use super::curve::{Curve, window};
use super::{RESOLUTION, Suggested};
use crate::error::Result;
use crate::math;

/// The rate at the first steepest slope of loss over the logarithm of the rate.
///
/// With a `window` of 1 a slope is that between two neighbours, `(loss[i+1] - loss[i]) /
/// (ln lr[i+1] - ln lr[i])`, standing for point i. With more it is the least-squares slope of
/// `window` consecutive points that lie wholly on the curve, standing for the middle one (row
/// L10). `window` is odd; on a shorter curve it is the largest odd number of points there is.
/// Neighbours of one and the same rate have no slope; without any the answer is the first point.
///
/// ```
/// let lrs = [0.1, 1.0, 10.0];
/// assert_eq!(lehr_core::suggest::steep(&lrs, &[3.0, 2.0, 0.0], 1)?, (1.0, (1.0, 2.0)));
/// # Ok::<(), lehr_core::Error>(())
/// ```
pub fn steep(lrs: &[f64], losses: &[f64], window: usize) -> Result<Suggested> {
    let curve = Curve::with_log(lrs, losses)?;
    let width = self::window(window, curve.len())?;
    let logs = math::logs(&curve.lrs);
    let slopes = slopes(&logs, &curve.losses, width.max(2));
    let least = least(&slopes);
    let limit = least + RESOLUTION * least.abs();
    let first = slopes.iter().position(|&slope| slope == least || slope <= limit);
    Ok(curve.at(first.map_or(0, |start| start + width / 2)))
}

/// The least-squares slope of `y` over `x` at all spans of `width` points.
fn slopes(x: &[f64], y: &[f64], width: usize) -> Vec<f64> {
    if width > 2 {
        return x.windows(width).zip(y.windows(width)).map(|(x, y)| slope(x, y)).collect();
    }
    // Of neighbours, in a loop that vectorises.
    let ends = x.iter().zip(&x[1..]).zip(y.iter().zip(&y[1..]));
    let one = |((x0, x1), (y0, y1))| if x0 == x1 { f64::NAN } else { (y1 - y0) / (x1 - x0) };
    ends.map(one).collect()
}

/// The least of numbers, NaN left out; infinite of none.
fn least(values: &[f64]) -> f64 {
    // Eight at a time, for each comparison waits for the one before it.
    let mut lanes = [f64::INFINITY; 8];
    let (eights, rest) = values.as_chunks::<8>();
    let take = |lane: &mut f64, value: &f64| *lane = if value < lane { *value } else { *lane };
    for eight in eights {
        lanes.iter_mut().zip(eight).for_each(|(lane, value)| take(lane, value));
    }
    lanes.iter_mut().zip(rest).for_each(|(lane, value)| take(lane, value));
    lanes.into_iter().fold(f64::INFINITY, f64::min)
}

/// The least-squares slope of `y` over `x`; NaN where all `x` are one.
fn slope(x: &[f64], y: &[f64]) -> f64 {
    if x.iter().all(|one| *one == x[0]) {
        return f64::NAN;
    }
    let mean = x.iter().sum::<f64>() / x.len() as f64;
    let (mut covariance, mut variance) = (0.0, 0.0);
    let (mut reach, mut rise) = (0.0, 0.0_f64);
    for (x, next) in x.iter().zip(y) {
        // Over the first loss, not the mean: what is exact stays exact under a shift.
        let (dx, dy) = (x - mean, next - y[0]);
        covariance += dx * dy;
        variance += dx * dx;
        reach += dx.abs();
        rise = rise.max(dy.abs());
    }
    // What rounding leaves of terms that cancel is no slope.
    if covariance.abs() <= RESOLUTION * reach * rise { 0.0 } else { covariance / variance }
}

#[cfg(test)]
mod tests {
    use super::{slope, steep};

    const LRS: [f64; 7] = [1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0];

    #[test]
    fn equal_slopes_are_equal_whatever_rounding_says() {
        assert_eq!(steep(&LRS, &[9.0, 9.0, 8.9, 8.8, 8.7, 8.6, 8.5], 1).unwrap().0, 1e-5);
        assert_eq!(steep(&LRS, &[2.0; 7], 1).unwrap().0, 1e-6);
    }

    #[test]
    fn a_rising_curve_has_its_smallest_rise() {
        assert_eq!(steep(&LRS[..4], &[1.0, 3.0, 4.0, 9.0], 1).unwrap(), (1e-5, (1e-5, 3.0)));
    }

    #[test]
    fn a_wider_slope_passes_over_a_single_jump() {
        let losses = [9.0, 9.0, 7.5, 9.0, 8.0, 7.0, 6.0];
        assert_eq!(steep(&LRS, &losses, 1).unwrap().0, 1e-5);
        assert_eq!(steep(&LRS, &losses, 3).unwrap().0, 1e-2);
    }

    #[test]
    fn any_curve_of_one_point_or_more_has_an_answer() {
        assert_eq!(steep(&[0.1], &[3.0], 1).unwrap(), (0.1, (0.1, 3.0)));
        assert_eq!(steep(&[0.1], &[f64::NAN], 3).unwrap().0, 0.1);
        assert_eq!(steep(&[0.1, 0.1], &[3.0, 2.0], 1).unwrap().0, 0.1);
        assert_eq!(steep(&[0.1, 1.0], &[3.0, 2.0], 9).unwrap().0, 0.1);
        let huge = f64::MAX;
        assert_eq!(steep(&[0.1, 1.0, 2.0], &[huge, -huge, huge], 1).unwrap().0, 0.1);
    }

    #[test]
    fn least_squares_slope_of_a_line_is_its_own() {
        let line: Vec<f64> = LRS.iter().map(|x| 3.0 - 2.0 * x).collect();
        assert!((slope(&LRS, &line) + 2.0).abs() < 1e-12);
        assert!(slope(&[1.0; 3], &[1.0, 2.0, 3.0]).is_nan());
        assert_eq!(slope(&[0.1, 0.2, 0.3], &[7.0, 9.0, 7.0]), 0.0);
    }
}
