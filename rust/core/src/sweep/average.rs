//! The averages other finders store instead of the losses, and the way back to the losses.

use super::Smoother;
use crate::error::{Result, value_error};

/// How a finder averages the losses it stores.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Average {
    /// `v = .98 v + .02 loss`, stored as `v / (1 - .98^(i + 1))`.
    Fastai,
    /// The same, stored as `v / (1 - .98^(i + 2))`: a constant loss begins at .505 of itself.
    Lightning,
    /// The first loss as it is, then `.95 stored + .05 loss`.
    TorchLrFinder,
    /// The same.
    Ignite,
}

impl Average {
    /// All of them, in the order a message lists them.
    pub const ALL: [Self; 4] = [Self::Fastai, Self::Lightning, Self::TorchLrFinder, Self::Ignite];

    /// Its name in the Python interface.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Fastai => "fastai",
            Self::Lightning => "lightning",
            Self::TorchLrFinder => "torch_lr_finder",
            Self::Ignite => "ignite",
        }
    }

    /// The average of that name.
    pub fn from_name(name: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|average| average.name() == name).ok_or_else(|| {
            let names = Self::ALL.map(Self::name).join(", ");
            value_error!("`smoothing` must be one of {names}, or None, got {name:?}")
        })
    }

    /// The shares of what is stored and of the next loss in what is stored next.
    fn shares(self) -> (f64, f64) {
        match self {
            Self::Fastai | Self::Lightning => (0.98, 1.0 - 0.98),
            Self::TorchLrFinder | Self::Ignite => (1.0 - 0.05, 0.05),
        }
    }

    /// The weight `w` before the first loss, of `w = old w + new`: `v / w` is what is stored.
    fn weight(self) -> f64 {
        match self {
            Self::Fastai => 0.0,
            Self::Lightning => self.shares().1,
            Self::TorchLrFinder | Self::Ignite => 1.0,
        }
    }

    /// What the finder stores for these losses. From the first loss that is not finite on, that is
    /// not finite either: no finder passes over one.
    #[must_use]
    pub fn average(self, losses: &[f64]) -> Vec<f64> {
        let finite = losses.iter().position(|loss| !loss.is_finite()).unwrap_or(losses.len());
        let mut stored = match self {
            Self::Fastai | Self::Lightning => self.debiased(&losses[..finite]),
            Self::TorchLrFinder | Self::Ignite => self.plain(&losses[..finite]),
        };
        let mut lost = 0.0;
        stored.extend(losses[finite..].iter().map(|loss| {
            lost += loss;
            lost
        }));
        stored
    }

    fn debiased(self, losses: &[f64]) -> Vec<f64> {
        let mut smoother = Smoother::from_sums(self.shares().0, 0.0, self.weight());
        losses.iter().map(|&loss| smoother.push(loss)).collect()
    }

    fn plain(self, losses: &[f64]) -> Vec<f64> {
        let (old, new) = self.shares();
        let mut last = None;
        let next = |&loss: &f64| {
            let stored = last.map_or(loss, |stored| new * loss + old * stored);
            last = Some(stored);
            stored
        };
        losses.iter().map(next).collect()
    }

    /// The losses of which the finder stored `stored`.
    ///
    /// With `w` the weights, `loss = s[i] + old w[i-1] / new (s[i] - s[i-1])`: of neighbours that
    /// are near each other the difference is exact, so nothing is lost but what the rounding of
    /// `stored` lost, times `1 + 2 old w / new`, which grows from 1 to 99 (fastai and Lightning)
    /// or is 39. A stored value that is not finite gives NaN. So does the one after it, whose loss
    /// takes the value that is missing; but Lightning records NaN for a step without a loss, and
    /// there the next finite value follows the last finite one.
    #[must_use]
    pub fn invert(self, stored: &[f64]) -> Vec<f64> {
        let (old, new) = self.shares();
        let mut weight = self.weight();
        // The last finite value, its weight, and whether it is the one just before.
        let mut last: Option<(f64, f64, bool)> = None;
        let mut missing = false;
        let next = |&value: &f64| {
            weight = old * weight + new;
            if !value.is_finite() {
                last = last.map(|(value, weight, _)| (value, weight, false));
                missing = true;
                return f64::NAN;
            }
            if std::mem::take(&mut missing) && self != Self::Lightning {
                last = Some((value, weight, true));
                return f64::NAN;
            }
            let loss = match last {
                Some((before, w, true)) => value + old * w / new * (value - before),
                Some((before, w, false)) => {
                    (weight - old * w) / new * value + old * w / new * (value - before)
                }
                None if self.weight() == 1.0 => value,
                None => weight / new * value,
            };
            last = Some((value, weight, true));
            loss
        };
        stored.iter().map(next).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::Average;

    const NAN: f64 = f64::NAN;

    fn near(a: &[f64], b: &[f64], tolerance: f64) -> bool {
        let size =
            b.iter().filter(|x| x.is_finite()).fold(0.0, |so_far: f64, x| so_far.max(x.abs()));
        let close =
            |(a, b): (&f64, &f64)| (a.is_nan() && b.is_nan()) || (a - b).abs() <= tolerance * size;
        a.len() == b.len() && a.iter().zip(b).all(close)
    }

    #[test]
    fn a_constant_loss_is_stored_as_each_finder_does() {
        let ones = [1.0; 4];
        assert_eq!(Average::Fastai.average(&ones), ones);
        assert_eq!(Average::Ignite.average(&ones), ones);
        let b: f64 = 0.98;
        let weights = [1.0 - b, 1.0 - b * b, 1.0 - b * b * b, 1.0 - b * b * b * b];
        let lightning = [0, 1, 2].map(|i| weights[i] / weights[i + 1]);
        assert!(near(&Average::Lightning.average(&ones[..3]), &lightning, 1e-14));
    }

    #[test]
    fn the_second_value_is_the_formula_s() {
        let expected = [
            (Average::Fastai, (0.98 * 0.02 * 3.0 + 0.02 * 7.0) / (1.0 - 0.98 * 0.98)),
            (Average::Lightning, (0.98 * 0.02 * 3.0 + 0.02 * 7.0) / (1.0 - 0.98 * 0.98 * 0.98)),
            (Average::TorchLrFinder, 0.95 * 3.0 + 0.05 * 7.0),
            (Average::Ignite, 0.95 * 3.0 + 0.05 * 7.0),
        ];
        for (average, value) in expected {
            assert!((average.average(&[3.0, 7.0])[1] - value).abs() < 1e-14);
        }
    }

    #[test]
    fn losses_come_back_from_what_is_stored_of_them() {
        let losses: Vec<f64> = (0..300).map(|i| f64::from((i * 7919) % 101) - 20.0).collect();
        for average in Average::ALL {
            let back = average.invert(&average.average(&losses));
            assert!(near(&back, &losses, 1e-13), "{average:?}");
            assert_eq!(average.invert(&[]), [0.0; 0]);
        }
    }

    #[test]
    fn a_loss_that_is_not_finite_is_never_got_over() {
        for average in Average::ALL {
            let stored = average.average(&[1.0, f64::INFINITY, 2.0, NAN, 3.0]);
            assert_eq!(stored[1..3], [f64::INFINITY; 2]);
            assert!(stored[3].is_nan() && stored[4].is_nan());
            assert!(near(&average.invert(&stored), &[1.0, NAN, NAN, NAN, NAN], 1e-15));
        }
    }

    #[test]
    fn a_value_left_out_is_passed_over() {
        // Lightning leaves its average as it is where a step has no loss, and counts the step.
        let mut v = 0.0;
        let mut power = 0.98;
        let losses = [5.0, NAN, NAN, 3.0, 8.0];
        let stored = losses.map(|loss: f64| {
            power *= 0.98;
            if loss.is_nan() {
                return NAN;
            }
            v = 0.98 * v + 0.02 * loss;
            v / (1.0 - power)
        });
        assert!(near(&Average::Lightning.invert(&stored), &losses, 1e-13));
    }

    #[test]
    fn a_loss_after_a_missing_value_is_not_known_and_those_after_it_are() {
        let losses = [5.0, 2.0, 7.0, 3.0, 8.0];
        for average in [Average::Fastai, Average::TorchLrFinder, Average::Ignite] {
            for (gap, known) in [(0, [NAN, NAN, 7.0, 3.0, 8.0]), (2, [5.0, 2.0, NAN, NAN, 8.0])] {
                let mut stored = average.average(&losses);
                stored[gap] = NAN;
                assert!(near(&average.invert(&stored), &known, 1e-13), "{average:?}");
            }
        }
    }

    #[test]
    fn an_unknown_name_is_refused_with_the_known_ones() {
        let error = Average::from_name("keras").unwrap_err().to_string();
        assert!(error.contains("fastai, lightning, torch_lr_finder, ignite"), "{error}");
        for average in Average::ALL {
            assert_eq!(Average::from_name(average.name()).unwrap(), average);
        }
    }
}
