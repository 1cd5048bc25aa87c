//! What suggestions of many curves have in common: their spread, outliers, and trend.

use crate::error::{Result, value_error};
use crate::math;

/// Standard deviations from the median beyond which one is an outlier (Iglewicz and Hoaglin, "How
/// to Detect and Handle Outliers", 1993), and decades within which none is.
const OUTLIER: f64 = 3.5;
const NEAR: f64 = 0.3;
/// Fewer rates have no outliers: nobody knows who is out.
const FEWEST: usize = 5;
/// As many values at most make a trend, evenly chosen of more: their pairs are compared.
const MOST: usize = 1000;

/// How rates lie.
#[derive(Debug, Clone, PartialEq)]
pub struct Spread {
    /// Their median, on a logarithmic scale.
    pub median: f64,
    /// A quarter of them is at most the first, a quarter at least the second.
    pub quartiles: (f64, f64),
    /// The median distance from the median in decades, times 1.48: the standard deviation of normal
    /// ones.
    pub decades: f64,
    /// Which of them are outliers.
    pub outliers: Vec<usize>,
}

/// How rates change with a quantity.
#[derive(Debug, Clone, PartialEq)]
pub struct Trend {
    /// The rate goes with this power of the quantity.
    pub power: f64,
    /// Kendall's tau: the share of pairs that agree with a rising trend, less that of those that
    /// agree with a falling one.
    pub tau: f64,
    /// Number of different values of the quantity.
    pub values: usize,
}

/// The spread of rates above 0, of which there must be one.
///
/// Quantiles are of the logarithms, linear between neighbours. An outlier is further from the
/// median than 3.5 times `decades`, and than .3 decades; of fewer than 5 rates none is.
///
/// # Errors
/// There is no rate, or one is not a finite number above 0.
pub fn spread(lrs: &[f64]) -> Result<Spread> {
    if lrs.is_empty() {
        return Err(value_error!("`lrs` must hold at least one rate, got none"));
    }
    let logs = logarithms(lrs, "lrs")?;
    let mut sorted = logs.clone();
    sorted.sort_unstable_by(f64::total_cmp);
    let mut rates = lrs.to_vec();
    rates.sort_unstable_by(f64::total_cmp);
    // A quantile that is one of the rates is that to the last bit.
    let rate = |share| {
        let log = quantile(&sorted, share);
        let same = sorted.iter().position(|one| *one == log);
        same.map_or_else(|| math::power_of_ten(log), |index| rates[index])
    };
    let median = quantile(&sorted, 0.5);
    let mut apart: Vec<f64> = sorted.iter().map(|log| (log - median).abs()).collect();
    apart.sort_unstable_by(f64::total_cmp);
    let decades = math::NORMAL * quantile(&apart, 0.5);
    let limit = (OUTLIER * decades).max(NEAR);
    let out = |(index, log): (usize, &f64)| ((log - median).abs() > limit).then_some(index);
    let outliers = if lrs.len() < FEWEST {
        Vec::new()
    } else {
        logs.iter().enumerate().filter_map(out).collect()
    };
    Ok(Spread { median: rate(0.5), quartiles: (rate(0.25), rate(0.75)), decades, outliers })
}

/// The trend of rates over a quantity: the median slope between the median rates at any two values
/// of the quantity (Theil and Sen), both on logarithmic scales; `None` of fewer than 3 values.
///
/// # Errors
/// The lengths differ, or a number is not finite and above 0.
pub fn trend(values: &[f64], lrs: &[f64]) -> Result<Option<Trend>> {
    if values.len() != lrs.len() {
        return Err(value_error!(
            "`values` and `lrs` must have the same length, got {} and {}",
            values.len(),
            lrs.len()
        ));
    }
    let (x, y) = (logarithms(values, "values")?, logarithms(lrs, "lrs")?);
    let mut points: Vec<(f64, f64)> = x.into_iter().zip(y).collect();
    points.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1)));
    let medians: Vec<(f64, f64)> = points
        .chunk_by(|a, b| a.0 == b.0)
        .map(|same| {
            let rates: Vec<f64> = same.iter().map(|point| point.1).collect();
            (same[0].0, quantile(&rates, 0.5))
        })
        .collect();
    if medians.len() < 3 {
        return Ok(None);
    }
    let chosen: Vec<(f64, f64)> = if medians.len() <= MOST {
        medians.clone()
    } else {
        (0..MOST).map(|i| medians[i * (medians.len() - 1) / (MOST - 1)]).collect()
    };
    let mut slopes = Vec::with_capacity(chosen.len() * (chosen.len() - 1) / 2);
    for (index, a) in chosen.iter().enumerate() {
        slopes.extend(chosen[index + 1..].iter().map(|b| (b.1 - a.1) / (b.0 - a.0)));
    }
    slopes.sort_unstable_by(f64::total_cmp);
    #[expect(clippy::cast_precision_loss, reason = "a count of pairs")]
    let share = |of: usize| of as f64 / slopes.len() as f64;
    let rising = slopes.iter().filter(|slope| **slope > 0.0).count();
    let falling = slopes.iter().filter(|slope| **slope < 0.0).count();
    let power = quantile(&slopes, 0.5);
    Ok(Some(Trend { power, tau: share(rising) - share(falling), values: medians.len() }))
}

/// The median of numbers: of an even count the mean of the two in the middle.
///
/// # Errors
/// There is none, or one is NaN.
pub fn median(values: &[f64]) -> Result<f64> {
    if values.is_empty() || values.iter().any(|value| value.is_nan()) {
        return Err(value_error!("`values` must hold numbers, at least one, and none that is NaN"));
    }
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    Ok(quantile(&sorted, 0.5))
}

fn logarithms(values: &[f64], name: &str) -> Result<Vec<f64>> {
    let log = |(index, value): (usize, &f64)| {
        if value.is_finite() && *value > 0.0 {
            Ok(math::log10(*value))
        } else {
            Err(value_error!("`{name}[{index}]` must be a finite number above 0, got {value:?}"))
        }
    };
    values.iter().enumerate().map(log).collect()
}

/// The quantile of sorted numbers, linear between neighbours.
fn quantile(sorted: &[f64], share: f64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "a count of numbers")]
    let place = share * (sorted.len() - 1) as f64;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an index")]
    let index = place as usize;
    let (low, high) = (sorted[index], sorted[(index + 1).min(sorted.len() - 1)]);
    #[expect(clippy::cast_precision_loss, reason = "an index")]
    let rest = place - index as f64;
    low + rest * (high - low)
}

#[cfg(test)]
mod tests {
    use super::{median, spread, trend};

    #[test]
    fn quartiles_are_on_a_logarithmic_scale() {
        let lrs = [1e-3, 1e-1, 1e-2, 1e-4, 1e-5];
        let found = spread(&lrs).unwrap();
        let near = |a: f64, b: f64| (a / b - 1.0).abs() < 1e-14;
        assert!(near(found.median, 1e-3));
        assert!(near(found.quartiles.0, 1e-4) && near(found.quartiles.1, 1e-2));
        assert!(near(found.decades, crate::math::NORMAL));
        assert!(found.outliers.is_empty());
    }

    #[test]
    fn one_far_from_many_is_an_outlier_and_of_few_none_is() {
        let lrs = [1e-3, 1.1e-3, 1e-3, 0.9e-3, 1e-1, 1.9e-3];
        assert_eq!(spread(&lrs).unwrap().outliers, [4]);
        assert!(spread(&lrs[2..6]).unwrap().outliers.is_empty());
    }

    #[test]
    fn a_power_is_found_in_spite_of_an_outlier() {
        let values = [16.0, 32.0, 32.0, 64.0, 128.0, 256.0, 512.0];
        let mut lrs = values.map(|x: f64| 1e-3 * x.sqrt());
        lrs[4] = 9.0;
        let found = trend(&values, &lrs).unwrap().unwrap();
        assert!((found.power - 0.5).abs() < 1e-13);
        assert_eq!(found.values, 6);
        assert!((found.tau - (13.0 - 2.0) / 15.0).abs() < 1e-14);
        assert_eq!(trend(&[2.0, 4.0, 2.0], &[1.0; 3]).unwrap(), None);
    }

    #[test]
    fn the_median_is_in_the_middle() {
        assert_eq!(median(&[3.0, -1.0, 7.0]).unwrap(), 3.0);
        assert_eq!(median(&[3.0, -1.0]).unwrap(), 1.0);
        assert!(median(&[]).is_err() && median(&[1.0, f64::NAN]).is_err());
    }

    #[test]
    fn many_values_are_thinned() {
        let values: Vec<f64> = (1..5000).map(f64::from).collect();
        let found = trend(&values, &values).unwrap().unwrap();
        assert!((found.power - 1.0).abs() < 1e-9);
        assert_eq!((found.tau, found.values), (1.0, 4999));
    }

    #[test]
    fn what_has_no_logarithm_is_refused() {
        assert!(spread(&[]).is_err());
        for bad in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            let error = spread(&[1.0, bad]).unwrap_err().to_string();
            assert!(error.contains("`lrs[1]` must be a finite number above 0"), "{error}");
            assert!(trend(&[1.0, bad], &[1.0, 1.0]).is_err());
        }
        assert!(trend(&[1.0], &[]).unwrap_err().to_string().contains("same length, got 1 and 0"));
    }
}
