//! Asking the rules by name, about raw losses.

use std::borrow::Cow;
use std::cell::OnceCell;

use super::{Constants, Reading, Status, Suggested, check};
use crate::error::{Result, value_error};
use crate::sweep::{Average, smoothed, trim};

/// The rules that have a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// [`super::robust`].
    Robust,
    /// [`super::valley`].
    Valley,
    /// [`super::slide`].
    Slide,
    /// [`super::minimum`].
    Minimum,
    /// [`super::steep`].
    Steep,
    /// [`super::lightning`].
    Lightning,
    /// [`super::torch_lr_finder`].
    TorchLrFinder,
    /// [`super::ignite`].
    Ignite,
}

impl Method {
    /// All of them, in the order a message lists them.
    pub const ALL: [Self; 8] = [
        Self::Robust,
        Self::Valley,
        Self::Slide,
        Self::Minimum,
        Self::Steep,
        Self::Lightning,
        Self::TorchLrFinder,
        Self::Ignite,
    ];

    /// Its name in the Python interface.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Robust => "robust",
            Self::Valley => "valley",
            Self::Slide => "slide",
            Self::Minimum => "minimum",
            Self::Steep => "steep",
            Self::Lightning => "lightning",
            Self::TorchLrFinder => "torch_lr_finder",
            Self::Ignite => "ignite",
        }
    }

    /// The method of that name.
    pub fn from_name(name: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|method| method.name() == name).ok_or_else(|| {
            let names = Self::ALL.map(Self::name).join(", ");
            value_error!("`method` must be one of {names}, got '{name}'")
        })
    }
}

/// What a rule says of a sweep.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// The suggested rate; NaN where it has nothing to say.
    pub lr: f64,
    /// The point (rate, loss) of the curve it stands on.
    pub point: Option<(f64, f64)>,
    /// Why there is no suggestion, or a weak one.
    pub reason: String,
    /// What the robust rule says of its own answer.
    pub judged: Option<Judged>,
}

/// What the robust rule says of its own answer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Judged {
    /// The rates that may well be as good.
    pub interval: Option<(f64, f64)>,
    /// Whether to believe it.
    pub status: Status,
    /// The signal-to-noise ratio; NaN of a curve that cannot be read.
    pub snr: f64,
}

/// A sweep that rules are asked about: what several of them read is made once.
pub struct Asked<'a> {
    lrs: &'a [f64],
    losses: &'a [f64],
    num_it: usize,
    diverged: bool,
    page: OnceCell<(Cow<'a, [f64]>, Vec<f64>)>,
}

impl<'a> Asked<'a> {
    /// A sweep of raw losses that was meant to have `num_it` iterations; whether it is known to have
    /// ended because the loss diverged. The points are checked by the rules.
    #[must_use]
    pub fn new(lrs: &'a [f64], losses: &'a [f64], num_it: usize, diverged: bool) -> Self {
        Self { lrs, losses, num_it, diverged, page: OnceCell::new() }
    }

    /// Ask a rule; `steps` is the length of the training to come, where the rule heeds it.
    #[must_use]
    pub fn ask(&self, method: Method, steps: Option<f64>) -> Answer {
        let losses = self.losses;
        let stored = |average: Average| average.average(losses);
        match method {
            Method::Robust => self.robust(steps),
            Method::Valley => self.page(super::valley),
            Method::Slide => self.page(|x, y| super::slide(x, y, 15, 0.005, 1.0)),
            Method::Minimum => self.page(|x, y| super::minimum(x, y, 1)),
            Method::Steep => self.page(|x, y| super::steep(x, y, 1)),
            Method::Lightning => self.peer(
                "it needs two finite losses between the first 10 points and the last",
                |lrs| super::lightning(lrs, &stored(Average::Lightning), 10, 1),
            ),
            Method::TorchLrFinder => self
                .peer("it needs two points between the first 10 and the last 5", |lrs| {
                    super::torch_lr_finder(lrs, &stored(Average::TorchLrFinder), 10, 5)
                }),
            Method::Ignite => self
                .peer("it needs two points before the one of the least average", |lrs| {
                    super::ignite(lrs, &stored(Average::Ignite))
                }),
        }
    }

    fn robust(&self, steps: Option<f64>) -> Answer {
        let nothing = |reason: String| Answer {
            judged: Some(Judged { interval: None, status: Status::None, snr: f64::NAN }),
            ..silent(reason)
        };
        if self.losses.is_empty() {
            return nothing("the sweep has no points".to_owned());
        }
        let by = Constants::default();
        match super::robust(self.lrs, self.losses, steps, self.diverged, &by) {
            Err(error) => nothing(error.to_string()),
            Ok(Reading { lr, interval, loss, status, reason, snr }) => {
                let found = status != Status::None;
                let interval = found.then_some(interval);
                Answer {
                    lr,
                    point: found.then_some((lr, loss)),
                    reason,
                    judged: Some(Judged { interval, status, snr }),
                }
            }
        }
    }

    /// Ask a rule of the page about the points that it reads (rule 19).
    fn page(&self, rule: impl FnOnce(&[f64], &[f64]) -> Result<Suggested>) -> Answer {
        if self.lrs.len() != self.losses.len()
            && let Err(error) = check(self.lrs, self.losses)
        {
            return silent(error.to_string());
        }
        let (lrs, losses) = self.page.get_or_init(|| {
            let read = trim(self.losses.len(), self.num_it);
            let mut losses = smoothed(self.losses);
            losses.truncate(read.end);
            losses.drain(..read.start);
            let lrs = &self.lrs[read];
            if losses.iter().fold(true, |so_far, loss| so_far & loss.is_finite()) {
                return (Cow::Borrowed(lrs), losses);
            }
            let points = lrs.iter().zip(losses).filter(|(_, loss)| loss.is_finite());
            let (lrs, losses): (Vec<f64>, Vec<f64>) = points.unzip();
            (Cow::Owned(lrs), losses)
        });
        if lrs.is_empty() {
            return silent("the sweep has no finite loss".to_owned());
        }
        answer(rule(lrs, losses).map(Some), "")
    }

    /// Ask the rule of another finder; `need` says what a curve must have.
    fn peer(&self, need: &str, rule: impl FnOnce(&[f64]) -> Result<Option<Suggested>>) -> Answer {
        if self.losses.is_empty() { silent(need.to_owned()) } else { answer(rule(self.lrs), need) }
    }
}

fn answer(found: Result<Option<Suggested>>, need: &str) -> Answer {
    match found {
        Ok(Some((lr, point))) => {
            Answer { lr, point: Some(point), reason: String::new(), judged: None }
        }
        Ok(None) => silent(need.to_owned()),
        Err(error) => silent(error.to_string()),
    }
}

fn silent(reason: String) -> Answer {
    Answer { lr: f64::NAN, point: None, reason, judged: None }
}

#[cfg(test)]
mod tests {
    use super::{Asked, Method};

    #[test]
    fn every_method_has_its_name() {
        for method in Method::ALL {
            assert_eq!(Method::from_name(method.name()).unwrap(), method);
        }
        let error = Method::from_name("best").unwrap_err().to_string();
        assert!(error.contains("robust, valley, slide") && error.contains("got 'best'"), "{error}");
    }

    #[test]
    fn lengths_that_differ_are_told() {
        let asked = Asked::new(&[0.1], &[1.0; 30], 30, false);
        for method in Method::ALL {
            assert!(asked.ask(method, None).reason.contains("same length, got 1 and 30"));
        }
    }

    #[test]
    fn a_sweep_without_points_and_one_without_losses_say_why() {
        let nan = [f64::NAN; 30];
        let lrs: Vec<f64> = (1..=30).map(|i| f64::from(i) * 1e-3).collect();
        for (lrs, losses) in [(&[][..], &[][..]), (&lrs[..], &nan[..])] {
            let asked = Asked::new(lrs, losses, losses.len(), false);
            for method in Method::ALL {
                let answer = asked.ask(method, None);
                let peer = matches!(method, Method::TorchLrFinder | Method::Ignite);
                assert!(!lrs.is_empty() && peer || answer.lr.is_nan() && !answer.reason.is_empty());
            }
        }
    }
}
