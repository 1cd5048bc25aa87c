//! The longest valley.

/// The index the valley rule suggests, `None` for an empty curve.
///
/// The valley is the longest strictly decreasing subsequence of `losses` (not necessarily
/// contiguous; the one that ends first). With its length `n` and the index `e` of its last
/// point, the suggestion is `e - n + n / 3 + n / 6`, clamped at 0 (row L7). NaN takes no part.
///
/// Patience sorting, O(n log n): `lowest_ends[k]` is the largest value a decreasing subsequence
/// of length `k + 1` can end on.
#[must_use]
pub fn valley(losses: &[f64]) -> Option<usize> {
    let mut ends: Vec<f64> = Vec::new();
    let mut last = 0;
    for (index, &loss) in losses.iter().enumerate() {
        if loss.is_nan() {
            continue;
        }
        let length = ends.partition_point(|end| *end > loss);
        if length == ends.len() {
            ends.push(loss);
            last = index;
        } else {
            ends[length] = loss;
        }
    }
    let n = ends.len();
    (!losses.is_empty()).then(|| (last + n / 3 + n / 6).saturating_sub(n))
}

#[cfg(test)]
mod tests {
    use super::valley;

    #[test]
    fn fully_decreasing_curves_match_the_reference() {
        for (n, expected) in [(15, 6), (16, 6), (17, 6), (20, 8)] {
            let losses: Vec<f64> = (0..n).map(|i| -f64::from(i)).collect();
            assert_eq!(valley(&losses), Some(expected), "{n}");
        }
    }

    #[test]
    fn a_curve_that_never_falls_suggests_its_first_point() {
        assert_eq!(valley(&[1.0, 1.0, 2.0]), Some(0));
        assert_eq!(valley(&[f64::NAN; 3]), Some(0));
        assert_eq!(valley(&[]), None);
    }

    #[test]
    fn one_drop_then_a_rise_is_clamped_at_the_first_point() {
        assert_eq!(valley(&[5.0, 4.0, 6.0, 7.0, 8.0]), Some(0));
    }
}
