//! The longest valley.

use super::Suggested;
use super::curve::check;
use crate::error::Result;

/// The rate about two thirds down the longest valley, and the point it stands on.
///
/// The valley is the longest strictly decreasing subsequence of `losses` (not necessarily
/// contiguous; the one that ends first). With its length `n` and the index `e` of its last
/// point, the suggestion is the rate at `e - n + n / 3 + n / 6`, clamped at 0 (row L7). Losses
/// that are not finite take no part; where the suggestion meets one, its point has the next
/// finite loss.
///
/// ```
/// let lrs = [1e-4, 1e-3, 1e-2, 1e-1];
/// assert_eq!(lehr_core::suggest::valley(&lrs, &[4.0, 3.0, 2.0, 9.0])?, (1e-4, (1e-4, 4.0)));
/// # Ok::<(), lehr_core::Error>(())
/// ```
pub fn valley(lrs: &[f64], losses: &[f64]) -> Result<Suggested> {
    check(lrs, losses)?;
    let index = index(losses);
    let finite = losses[index..].iter().find(|loss| loss.is_finite());
    Ok((lrs[index], (lrs[index], *finite.unwrap_or(&losses[index]))))
}

/// How far around the last place `index` looks first.
const REACH: usize = 8;

/// Patience sorting, O(n log n): `ends[k]` is the largest value a decreasing subsequence of
/// length `k + 1` can end on.
fn index(losses: &[f64]) -> usize {
    let mut ends: Vec<f64> = Vec::with_capacity(losses.len());
    let (mut last, mut near) = (0, 0_usize);
    for (index, &loss) in losses.iter().enumerate() {
        if !loss.is_finite() {
            continue;
        }
        if ends.last().is_none_or(|end| *end > loss) {
            near = ends.len();
            ends.push(loss);
            last = index;
            continue;
        }
        // Neighbours on a curve land near each other: where the last one did, or behind it.
        let above = |place: usize| ends.get(place).is_none_or(|end| *end <= loss);
        let next = near + usize::from(ends[near] > loss);
        if (next == 0 || ends[next - 1] > loss) && above(next) {
            near = next;
            ends[near] = loss;
            continue;
        }
        let (low, high) = (near.saturating_sub(REACH), (near + REACH).min(ends.len()));
        near = if (low == 0 || ends[low - 1] > loss) && above(high) {
            low + ends[low..high].iter().map(|end| usize::from(*end > loss)).sum::<usize>()
        } else {
            ends.partition_point(|end| *end > loss)
        };
        ends[near] = loss;
    }
    let n = ends.len();
    (last + n / 3 + n / 6).saturating_sub(n)
}

#[cfg(test)]
mod tests {
    use super::{index, valley};

    #[test]
    fn fully_decreasing_curves_match_the_reference() {
        for (n, expected) in [(15, 6), (16, 6), (17, 6), (20, 8)] {
            let losses: Vec<f64> = (0..n).map(|i| -f64::from(i)).collect();
            assert_eq!(index(&losses), expected, "{n}");
        }
    }

    #[test]
    fn a_curve_that_never_falls_suggests_its_first_point() {
        assert_eq!(index(&[1.0, 1.0, 2.0]), 0);
        assert_eq!(index(&[f64::NAN; 3]), 0);
        assert!(valley(&[], &[]).is_err());
    }

    #[test]
    fn one_drop_then_a_rise_is_clamped_at_the_first_point() {
        assert_eq!(index(&[5.0, 4.0, 6.0, 7.0, 8.0]), 0);
    }

    #[test]
    fn infinite_losses_take_no_part_and_the_point_has_a_finite_loss() {
        let inf = f64::INFINITY;
        let lrs = [1.0, 2.0, 3.0, 4.0];
        assert_eq!(valley(&lrs, &[inf, 5.0, 4.0, -inf]).unwrap(), (1.0, (1.0, 5.0)));
        assert_eq!(valley(&lrs, &[f64::NAN; 4]).unwrap().0, 1.0);
    }
}
