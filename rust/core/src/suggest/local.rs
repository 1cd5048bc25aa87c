//! A centred local-linear smoother: no lag, unlike an exponential average.

/// The value at each `x` of the straight line fitted to the points around it, weighted by the
/// triweight kernel `(1 - u^2)^3` with `u` the distance in units of `reach`; `x` does not fall.
///
/// Where the points within reach do not tell a slope, it is their weighted mean.
pub(super) fn smooth(x: &[f64], y: &[f64], reach: f64) -> Vec<f64> {
    let kernel = even_kernel(x, reach);
    let arm = kernel.len() / 2;
    let mut first = 0;
    let mut last = 0;
    let mut line = |index: usize| {
        let at = x[index];
        while x[first] <= at - reach {
            first += 1;
        }
        while last < x.len() && x[last] < at + reach {
            last += 1;
        }
        line_at(at, &x[first..last], &y[first..last], reach)
    };
    if kernel.is_empty() || x.len() <= 2 * arm {
        return (0..x.len()).map(line).collect();
    }
    // Where points lie evenly to both sides the slope does not matter.
    let mut smooth: Vec<f64> = (0..arm).map(&mut line).collect();
    let mean = |part: &[f64]| part.iter().zip(&kernel).map(|(y, weight)| y * weight).sum::<f64>();
    smooth.extend(y.windows(kernel.len()).map(mean));
    smooth.extend((x.len() - arm..x.len()).map(line));
    smooth
}

/// The weights of the points within reach of one in the middle, which sum to 1; none where the
/// points are not evenly spaced.
fn even_kernel(x: &[f64], reach: f64) -> Vec<f64> {
    let (Some(first), Some(last)) = (x.first(), x.last()) else { return Vec::new() };
    #[expect(clippy::cast_precision_loss, reason = "a count of points")]
    let gap = (last - first) / (x.len().max(2) - 1) as f64;
    let even = x
        .windows(2)
        .fold(true, |so_far, pair| so_far & ((pair[1] - pair[0] - gap).abs() <= 1e-6 * gap));
    if !even || gap <= 0.0 {
        return Vec::new();
    }
    let one_side = (1..).map(|steps| f64::from(steps) * gap / reach).take_while(|u| *u < 1.0);
    let right: Vec<f64> = one_side.map(|u| (1.0 - u * u) * (1.0 - u * u) * (1.0 - u * u)).collect();
    let total = 1.0 + 2.0 * right.iter().sum::<f64>();
    let both = right.iter().rev().chain(std::iter::once(&1.0)).chain(&right);
    both.map(|weight| weight / total).collect()
}

fn line_at(at: f64, x: &[f64], y: &[f64], reach: f64) -> f64 {
    let scale = 1.0 / reach;
    // Weights, and their moments: of u, of u^2, of y, of u y.
    let (mut w, mut wu, mut wuu, mut wy, mut wuy) = (0.0, 0.0, 0.0, 0.0, 0.0);
    for (x, y) in x.iter().zip(y) {
        let u = (x - at) * scale;
        let inside = 1.0 - u * u;
        let weight = inside * inside * inside;
        let pull = weight * u;
        w += weight;
        wu += pull;
        wuu += pull * u;
        wy += weight * y;
        wuy += pull * y;
    }
    let spread = w * wuu - wu * wu;
    if spread > 1e-9 * w * w { (wuu * wy - wu * wuy) / spread } else { wy / w }
}

#[cfg(test)]
mod tests {
    use super::smooth;

    #[test]
    fn a_straight_line_stays_as_it_is_whatever_the_spacing() {
        let x = [0.0, 0.1, 0.15, 0.5, 0.55, 0.56, 0.9, 1.4];
        let y = x.map(|x| 3.0 - 2.0 * x);
        for (got, want) in smooth(&x, &y, 0.7).iter().zip(y) {
            assert!((got - want).abs() < 1e-13, "{got} {want}");
        }
    }

    #[test]
    fn evenly_spaced_points_are_smoothed_as_any_others() {
        let x: Vec<f64> = (0..40).map(|i| 0.08 * f64::from(i)).collect();
        let y: Vec<f64> = x.iter().map(|x| (x - 1.0) * (x - 1.0) * (3.0 - x)).collect();
        let mut moved = x.clone();
        // Too little to matter, enough not to be even.
        moved[0] -= 1e-6;
        for (one, other) in smooth(&x, &y, 0.45).iter().zip(smooth(&moved, &y, 0.45)) {
            assert!((one - other).abs() < 1e-5, "{one} {other}");
        }
        assert_ne!(super::even_kernel(&x, 0.45).len(), 0);
        assert_eq!(super::even_kernel(&moved, 0.45).len(), 0);
    }

    #[test]
    fn points_out_of_reach_or_of_one_place_are_averaged() {
        assert_eq!(smooth(&[0.0, 1.0], &[3.0, 5.0], 0.5), [3.0, 5.0]);
        assert_eq!(smooth(&[1.0, 1.0], &[3.0, 5.0], 0.5), [4.0, 4.0]);
    }

    #[test]
    fn weights_are_the_triweight_kernel_s() {
        // At 0 the neighbours at +-1/2 have weight (3/4)^3 = 27/64 and the slope is 0.
        let got = smooth(&[-0.5, 0.0, 0.5], &[1.0, 0.0, 1.0], 1.0)[1];
        assert!((got - 54.0 / (64.0 + 54.0)).abs() < 1e-15);
    }
}
