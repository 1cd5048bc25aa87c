//! Lengths of a training and of its phases, given in steps, epochs, shares or tokens.

use crate::error::{Result, value_error};

/// What a length is counted in.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Unit {
    Step,
    Epoch,
    Percent,
    Token,
    /// What the other phases leave.
    Rest,
}

/// A length as it is written: "500 steps", "2 epochs", "10%", "20e9 tokens" or "rest".
#[derive(Clone, Debug, PartialEq)]
pub struct Length {
    amount: f64,
    unit: Unit,
    text: String,
}

/// How many steps the units of a training are.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Run {
    /// Whether a step of the schedule is an epoch.
    pub counts_epochs: bool,
    /// Optimizer steps in an epoch.
    pub steps_per_epoch: Option<u64>,
    /// Tokens that one optimizer step sees.
    pub tokens_per_step: Option<f64>,
}

impl Length {
    /// Read a length; errors name it `name`.
    pub fn parse(text: &str, name: &str) -> Result<Self> {
        let trimmed = text.trim();
        let made = |amount, unit| Self { amount, unit, text: text.to_owned() };
        if trimmed == "rest" {
            return Ok(made(0.0, Unit::Rest));
        }
        let split = trimmed
            .find(|c: char| !(c.is_ascii_digit() || matches!(c, '.' | '_' | '+' | '-' | 'e' | 'E')))
            .unwrap_or(trimmed.len());
        // The "e" of "2epochs" is no exponent.
        let split = trimmed[..split].trim_end_matches(['e', 'E']).len();
        let unit = match trimmed[split..].trim() {
            "step" | "steps" => Some(Unit::Step),
            "epoch" | "epochs" => Some(Unit::Epoch),
            "token" | "tokens" => Some(Unit::Token),
            "%" => Some(Unit::Percent),
            _ => None,
        };
        let amount = trimmed[..split].replace('_', "").parse::<f64>();
        match (amount, unit) {
            (Ok(amount), Some(unit)) if amount.is_finite() && amount >= 0.0 => {
                Ok(made(amount, unit))
            }
            _ => Err(value_error!(
                "`{name}` must be a length such as \"500 steps\", \"2 epochs\", \"10%\" or \
                 \"20e9 tokens\", got {text:?}"
            )),
        }
    }

    /// The length of a whole training in steps, to the nearest.
    pub fn total(&self, run: &Run, name: &str) -> Result<u64> {
        match self.unit {
            Unit::Percent | Unit::Rest => Err(value_error!(
                "`{name}` is the length of the whole run, and cannot be a share of it, got {:?}",
                self.text
            )),
            _ => self.steps(run, 0, name),
        }
    }

    /// The length in steps, to the nearest, in a run of `total` steps.
    pub fn steps(&self, run: &Run, total: u64, name: &str) -> Result<u64> {
        self.exact(run, total, name).map(whole)
    }

    /// Refuse what is no share of a run by itself.
    pub fn check_share(&self, name: &str) -> Result<()> {
        if self.unit == Unit::Rest {
            return Err(value_error!("`{name}` cannot be \"rest\""));
        }
        Ok(())
    }

    /// The share of a run of `total` steps that the length is, in whole steps.
    pub fn share(&self, run: &Run, total: u64, name: &str) -> Result<f64> {
        self.check_share(name)?;
        match self.steps(run, total, name)? {
            0 if self.amount > 0.0 => Err(value_error!(
                "`{name}` is {:?}, which is less than one of the {total} steps of the run",
                self.text
            )),
            steps if steps > total => Err(value_error!(
                "`{name}` is {:?}, which is more than the {total} steps of the run",
                self.text
            )),
            steps => Ok(steps as f64 / total as f64),
        }
    }

    /// The length in steps, in a run of `total` steps.
    fn exact(&self, run: &Run, total: u64, name: &str) -> Result<f64> {
        let asks =
            |argument: &str| value_error!("`{name}` is {:?}: that needs `{argument}`", self.text);
        if run.counts_epochs && matches!(self.unit, Unit::Step | Unit::Token) {
            return Err(value_error!(
                "`{name}` must be in epochs or % where a step of the schedule is an epoch, got {:?}",
                self.text
            ));
        }
        let steps = match self.unit {
            Unit::Step => self.amount,
            Unit::Epoch if run.counts_epochs => self.amount,
            Unit::Epoch => {
                self.amount * run.steps_per_epoch.ok_or_else(|| asks("steps_per_epoch"))? as f64
            }
            Unit::Token => {
                let tokens = run.tokens_per_step.ok_or_else(|| asks("tokens_per_step"))?;
                if !(tokens.is_finite() && tokens > 0.0) {
                    return Err(value_error!(
                        "`tokens_per_step` must be a finite number above 0, got {tokens:?}"
                    ));
                }
                self.amount / tokens
            }
            Unit::Percent => self.amount * total as f64 / 100.0,
            Unit::Rest => 0.0,
        };
        // Beyond this a float64 cannot tell one step from the next.
        if steps > 9_007_199_254_740_992.0 {
            return Err(value_error!("`{name}` is more than 2^53 steps, got {:?}", self.text));
        }
        Ok(steps)
    }
}

/// The nearest whole number of steps; a half goes up, also one that decimals put an ulp or two below
/// (0.29 of 50 is 14.499999999999998).
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 or above")]
fn whole(steps: f64) -> u64 {
    (steps + (steps * 2.0 * f64::EPSILON).min(1e-3)).round() as u64
}

/// The lengths of the phases of a run of `total` steps, which they fill; one may be "rest".
///
/// Each phase begins at the whole step nearest to where it would: lengths of 30 and 70 % fill a run
/// of any length. Those behind "rest" are counted from the end.
pub(super) fn fill(lengths: &[Length], run: &Run, total: u64) -> Result<Vec<u64>> {
    let mut exact = Vec::with_capacity(lengths.len());
    let mut rest = None;
    for (index, length) in lengths.iter().enumerate() {
        if length.unit == Unit::Rest && rest.replace(index).is_some() {
            return Err(value_error!("`lengths` must hold \"rest\" once at most"));
        }
        exact.push(length.exact(run, total, &format!("lengths[{index}]"))?);
    }
    let split = rest.unwrap_or(lengths.len());
    let mut steps = rounded(exact[..split].iter());
    let before: u64 = steps.iter().sum();
    let after = match rest {
        None => Vec::new(),
        Some(rest) => rounded(exact[rest + 1..].iter().rev()),
    };
    let sum = before.saturating_add(after.iter().sum());
    if sum > total || (rest.is_none() && sum < total) {
        let texts: Vec<&str> = lengths.iter().map(|length| length.text.as_str()).collect();
        let hint = if sum > total || rest.is_some() { "" } else { ": one of them may be \"rest\"" };
        return Err(value_error!(
            "`lengths` must fill the {total} steps of the run, got {texts:?}, which are {sum} \
             steps{hint}"
        ));
    }
    if rest.is_some() {
        steps.push(total - sum);
        steps.extend(after.into_iter().rev());
    }
    for (index, (length, steps)) in lengths.iter().zip(&steps).enumerate() {
        if *steps == 0 && length.amount > 0.0 {
            return Err(value_error!(
                "`lengths[{index}]` is {:?}, which is less than one of the {total} steps of the run",
                length.text
            ));
        }
    }
    Ok(steps)
}

/// Whole lengths whose running sums are the nearest to those of `exact`.
fn rounded<'a>(exact: impl Iterator<Item = &'a f64>) -> Vec<u64> {
    let (mut sum, mut reached) = (0.0, 0);
    exact
        .map(|length| {
            sum += length;
            let begin = std::mem::replace(&mut reached, whole(sum));
            reached - begin
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{Length, Run, fill};

    fn run() -> Run {
        Run { counts_epochs: false, steps_per_epoch: Some(100), tokens_per_step: Some(4e6) }
    }

    fn total(text: &str) -> u64 {
        Length::parse(text, "steps").unwrap().total(&run(), "steps").unwrap()
    }

    #[test]
    fn every_unit_is_counted_in_steps() {
        assert_eq!(total("500 steps"), 500);
        assert_eq!(total("1 step"), 1);
        assert_eq!(total("1e3steps"), 1000);
        assert_eq!(total(" 10_000 steps "), 10_000);
        assert_eq!(total("2 epochs"), 200);
        assert_eq!(total("2epochs"), 200);
        assert_eq!(total("2.5 epochs"), 250);
        assert_eq!(total("20e9 tokens"), 5000);
        assert_eq!(total("20E9 tokens"), 5000);
    }

    #[test]
    fn phases_fill_the_run() {
        let parse = |texts: &[&str]| -> Vec<Length> {
            texts.iter().map(|text| Length::parse(text, "lengths").unwrap()).collect()
        };
        let fill = |texts: &[&str]| fill(&parse(texts), &run(), 1000);
        assert_eq!(fill(&["50 steps", "rest", "10%"]).unwrap(), [50, 850, 100]);
        assert_eq!(fill(&["1 epoch", "900 steps"]).unwrap(), [100, 900]);
        assert_eq!(fill(&["10 epochs", "rest"]).unwrap(), [1000, 0]);
        let odd = |texts: &[&str]| super::fill(&parse(texts), &run(), 15).unwrap();
        assert_eq!(odd(&["30%", "70%"]), [5, 10]);
        assert_eq!(odd(&["30%", "rest", "10%", "30%"]), [5, 4, 1, 5]);
        assert!(fill(&["10%", "80%"]).is_err());
        assert!(fill(&["0.01%", "rest"]).is_err());
        assert!(fill(&["11 epochs", "rest"]).is_err());
        assert!(fill(&["rest", "rest"]).is_err());
        assert!(fill(&["4e9 tokens", "rest"]).is_ok());
    }

    #[test]
    fn what_is_no_length_is_refused() {
        for text in ["", "500", "steps", "-1 steps", "5 parsecs", "nan steps", "1e400 steps", "e5%"]
        {
            assert!(Length::parse(text, "steps").is_err(), "{text:?}");
        }
        let needs =
            |text: &str, run: Run| Length::parse(text, "steps").unwrap().total(&run, "steps");
        assert!(needs("2 epochs", Run::default()).is_err());
        assert!(needs("2 tokens", Run::default()).is_err());
        assert!(needs("10%", run()).is_err());
        assert!(needs("rest", run()).is_err());
        assert!(needs("1e300 steps", run()).is_err());
        let epochs = Run { counts_epochs: true, ..Run::default() };
        assert_eq!(needs("10 epochs", epochs).unwrap(), 10);
        assert!(needs("10 steps", epochs).is_err());
    }
}
