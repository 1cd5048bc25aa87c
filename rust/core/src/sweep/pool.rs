//! Several sweeps over the same rates as one.

use crate::error::{Error, Result, value_error};

/// The rates of the longest sweep, and at each the mean of the finite losses the sweeps have there,
/// NaN where fewer than half of them have one; up to the last rate at which half have.
///
/// ```
/// let (lrs, long, short) = ([0.1, 0.2, 0.3], [5.0, 4.0, 3.0], [7.0, 6.0]);
/// let (rates, losses) = lehr_core::sweep::pool(&[(&lrs, &long), (&lrs[..2], &short)])?;
/// assert_eq!((rates, losses), (lrs.to_vec(), vec![6.0, 5.0, 3.0]));
/// # Ok::<(), lehr_core::Error>(())
/// ```
pub fn pool(sweeps: &[(&[f64], &[f64])]) -> Result<(Vec<f64>, Vec<f64>)> {
    let longest = sweeps.iter().map(|(lrs, _)| *lrs).max_by_key(|lrs| lrs.len());
    let Some(rates) = longest else {
        return Err(Error::Value("`sweeps` must hold at least one sweep, got none".to_owned()));
    };
    for (index, (lrs, _)) in sweeps.iter().enumerate() {
        if let Some(point) = lrs.iter().zip(rates).position(|(one, other)| one != other) {
            return Err(value_error!(
                "`sweeps` must be over the same rates, but that of point {point} of \
                 `sweeps[{index}]` is {:?}, not {:?}",
                lrs[point],
                rates[point]
            ));
        }
    }
    let mut means: Vec<f64> = (0..rates.len())
        .map(|point| {
            let losses = sweeps.iter().filter_map(|(_, losses)| losses.get(point));
            let finite: Vec<f64> = losses.copied().filter(|loss| loss.is_finite()).collect();
            if 2 * finite.len() < sweeps.len() {
                return f64::NAN;
            }
            // Divided first, a sum of large losses does not overflow; of one it is the loss itself.
            let share = finite.len() as f64;
            let sum = finite.iter().sum::<f64>();
            if sum.is_finite() { sum / share } else { finite.iter().map(|x| x / share).sum() }
        })
        .collect();
    let end = means.iter().rposition(|mean| !mean.is_nan()).map_or(0, |last| last + 1);
    means.truncate(end);
    Ok((rates[..end].to_vec(), means))
}

#[cfg(test)]
mod tests {
    use super::pool;

    const NAN: f64 = f64::NAN;

    #[test]
    fn points_that_fewer_than_half_have_are_nan_within_and_end_the_curve() {
        let lrs = [1.0, 2.0, 3.0, 4.0, 5.0];
        let losses = [
            [1.0, NAN, 3.0, 4.0, NAN],
            [2.0, NAN, NAN, NAN, 9.0],
            [6.0, 5.0, f64::INFINITY, 8.0, NAN],
        ];
        let sweeps: Vec<(&[f64], &[f64])> = losses.iter().map(|y| (&lrs[..], &y[..])).collect();
        let (rates, means) = pool(&sweeps).unwrap();
        assert_eq!(rates, lrs[..4]);
        assert_eq!((means[0], means[3]), (3.0, 6.0));
        assert!(means[1].is_nan() && means[2].is_nan());
    }

    #[test]
    fn large_losses_have_a_finite_mean() {
        let huge = [f64::MAX];
        assert_eq!(pool(&[(&[1.0], &huge), (&[1.0], &huge)]).unwrap().1, huge);
    }

    #[test]
    fn other_rates_are_refused_and_named() {
        let error = pool(&[(&[1.0, 2.0], &[1.0; 2]), (&[1.0, 3.0, 4.0], &[1.0; 3])]).unwrap_err();
        let expected = "that of point 1 of `sweeps[0]` is 2.0, not 3.0";
        assert!(error.to_string().contains(expected), "{error}");
        assert!(pool(&[]).unwrap_err().to_string().contains("at least one sweep"));
    }

    #[test]
    fn sweeps_without_points_pool_to_none() {
        assert_eq!(pool(&[(&[], &[])]).unwrap(), (vec![], vec![]));
    }
}
