//! Asking the rules about many curves at once.

use std::borrow::Cow;
use std::ops::Range;

use rayon::prelude::*;

use super::{Asked, Method, Status, check, decades_apart};
use crate::error::{Result, value_error};
use crate::sweep::Average;

/// Curves that one thread answers before it looks for more work.
const SHARE: usize = 128;

/// Numbers in one run of memory, of all curves one after the other.
#[derive(Debug, Clone, Copy)]
pub enum Values<'a> {
    /// Single precision, which is read exactly.
    F32(&'a [f32]),
    /// Double precision, which is not copied.
    F64(&'a [f64]),
}

/// Where each list begins and the one before it ends: one more than there are lists.
#[derive(Debug, Clone, Copy)]
pub enum Offsets<'a> {
    /// Of an Arrow list.
    I32(&'a [i32]),
    /// Of an Arrow large list.
    I64(&'a [i64]),
}

/// A list of numbers for each curve.
#[derive(Debug, Clone, Copy)]
pub struct Lists<'a> {
    values: Values<'a>,
    offsets: Offsets<'a>,
}

impl<'a> Lists<'a> {
    /// Lists in `values`, from each offset to the next.
    ///
    /// # Errors
    /// The offsets fall, or go beyond the values.
    pub fn new(values: Values<'a>, offsets: Offsets<'a>) -> Result<Self> {
        let len = match values {
            Values::F32(values) => values.len(),
            Values::F64(values) => values.len(),
        };
        let lists = Self { values, offsets };
        let mut before = 0;
        for index in 0..=lists.len() {
            let offset = lists.offset(index);
            if offset.is_none_or(|offset| offset < before || offset > len) {
                return Err(value_error!(
                    "the offsets of lists must rise from 0 to the number of values, {len}, but \
                     that of list {index} does not"
                ));
            }
            before = offset.unwrap_or(0);
        }
        Ok(lists)
    }

    /// The number of lists.
    #[must_use]
    pub fn len(&self) -> usize {
        let offsets = match self.offsets {
            Offsets::I32(offsets) => offsets.len(),
            Offsets::I64(offsets) => offsets.len(),
        };
        offsets.saturating_sub(1)
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn offset(&self, index: usize) -> Option<usize> {
        match self.offsets {
            // No offset at all is that of no list.
            Offsets::I32(offsets) => offsets.get(index).map_or(Some(0), |at| (*at).try_into().ok()),
            Offsets::I64(offsets) => offsets.get(index).map_or(Some(0), |at| (*at).try_into().ok()),
        }
    }

    fn get(&self, index: usize) -> Cow<'a, [f64]> {
        // Checked in `new`.
        let offset = |index| self.offset(index).unwrap_or(0);
        let range = offset(index)..offset(index + 1);
        match self.values {
            Values::F64(values) => Cow::Borrowed(&values[range]),
            Values::F32(values) => values[range].iter().map(|&x| f64::from(x)).collect(),
        }
    }
}

/// Curves, and what is asked about them.
#[derive(Debug, Clone, Copy)]
pub struct Questions<'a> {
    /// The rates of each curve.
    pub lrs: Lists<'a>,
    /// As many losses.
    pub losses: Lists<'a>,
    /// Which rows hold a curve; `None` for all.
    pub valid: Option<&'a [bool]>,
    /// How the losses were averaged.
    pub smoothing: Option<Average>,
    /// The iterations each sweep was meant to have, one for all or one a curve; the number of its
    /// points where there is none, or fewer.
    pub num_it: &'a [i64],
    /// Which sweeps are known to have ended because the loss diverged; `None` for none.
    pub diverged: Option<&'a [bool]>,
    /// The rules.
    pub methods: &'a [Method],
    /// The length of the training to come.
    pub steps: Option<f64>,
}

/// The answer about one curve.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// The number of its points.
    pub points: i64,
    /// "ok", "weak", "none", or "bad" where the row holds no curve.
    pub status: &'static str,
    /// Why it is not ok.
    pub reason: String,
    /// The suggested rates, one a method; NaN where one has nothing to say.
    pub lrs: Vec<f64>,
    /// The lowest and the highest rate that may be as good as the robust rule's; NaN without it.
    pub interval: (f64, f64),
    /// Its signal-to-noise ratio; NaN without it.
    pub snr: f64,
    /// How far the other rates lie from its, in decades; NaN without it.
    pub agreement: f64,
}

/// The answers about many curves, column by column.
#[derive(Debug, Clone, Default)]
pub struct Answers {
    /// As in [`Row`].
    pub points: Vec<i64>,
    /// As in [`Row`].
    pub status: Vec<&'static str>,
    /// As in [`Row`], one after the other,
    pub reasons: String,
    /// and where each ends.
    pub reason_ends: Vec<i64>,
    /// A column for each method.
    pub lrs: Vec<Vec<f64>>,
    /// As in [`Row`].
    pub low: Vec<f64>,
    /// As in [`Row`].
    pub high: Vec<f64>,
    /// As in [`Row`].
    pub snr: Vec<f64>,
    /// As in [`Row`].
    pub agreement: Vec<f64>,
}

impl Answers {
    fn push(&mut self, row: Row) {
        self.points.push(row.points);
        self.status.push(row.status);
        self.reasons.push_str(&row.reason);
        self.reason_ends.push(length(&self.reasons));
        self.lrs.resize_with(row.lrs.len(), Vec::new);
        for (column, lr) in self.lrs.iter_mut().zip(row.lrs) {
            column.push(lr);
        }
        self.low.push(row.interval.0);
        self.high.push(row.interval.1);
        self.snr.push(row.snr);
        self.agreement.push(row.agreement);
    }

    fn extend(&mut self, other: Self) {
        self.points.extend(other.points);
        self.status.extend(other.status);
        let before = length(&self.reasons);
        self.reasons.push_str(&other.reasons);
        self.reason_ends.extend(other.reason_ends.into_iter().map(|end| before + end));
        self.lrs.resize_with(other.lrs.len(), Vec::new);
        for (column, more) in self.lrs.iter_mut().zip(other.lrs) {
            column.extend(more);
        }
        self.low.extend(other.low);
        self.high.extend(other.high);
        self.snr.extend(other.snr);
        self.agreement.extend(other.agreement);
    }
}

/// The length of a text, which is far below the limit.
fn length(text: &str) -> i64 {
    i64::try_from(text.len()).unwrap_or(i64::MAX)
}

/// Ask about all curves, in their order, with up to so many threads; they end before this returns.
///
/// # Errors
/// There are not as many lists of losses as of rates, or flags or numbers of iterations as lists;
/// or no thread can be had.
pub fn many(questions: &Questions<'_>, threads: usize) -> Result<Answers> {
    let rows = questions.lrs.len();
    let counts = [
        ("losses", questions.losses.len()),
        ("valid", questions.valid.map_or(rows, <[bool]>::len)),
        ("diverged", questions.diverged.map_or(rows, <[bool]>::len)),
        ("num_it", if questions.num_it.len() <= 1 { rows } else { questions.num_it.len() }),
    ];
    if let Some((name, count)) = counts.into_iter().find(|(_, count)| *count != rows) {
        return Err(value_error!(
            "`{name}` must be of as many curves as `lrs`, {rows}, got {count}"
        ));
    }
    let answer = |range: Range<usize>| {
        let mut answers = Answers::default();
        for index in range {
            answers.push(questions.row(index));
        }
        answers
    };
    let threads = threads.min(rows.div_ceil(SHARE));
    let mut all = if threads <= 1 {
        answer(0..rows)
    } else {
        // A pool of its own, which no process that forks from this one is left to wait for.
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
        let pool = pool.map_err(|error| value_error!("`threads`: {error}"))?;
        let shares: Vec<Answers> = pool.install(|| {
            let starts = (0..rows.div_ceil(SHARE)).into_par_iter();
            starts.map(|i| answer(i * SHARE..rows.min((i + 1) * SHARE))).collect()
        });
        let mut all = Answers::default();
        for share in shares {
            all.extend(share);
        }
        all
    };
    all.lrs.resize_with(questions.methods.len(), Vec::new);
    Ok(all)
}

impl Questions<'_> {
    fn row(&self, index: usize) -> Row {
        if self.valid.is_some_and(|valid| !valid[index]) {
            return self.bad(0, "the curve is missing".to_owned());
        }
        let (lrs, stored) = (self.lrs.get(index), self.losses.get(index));
        // A count of points is far below.
        let points = i64::try_from(stored.len()).unwrap_or(i64::MAX);
        if !(lrs.is_empty() && stored.is_empty())
            && let Err(error) = check(&lrs, &stored)
        {
            return self.bad(points, error.to_string());
        }
        let losses = match self.smoothing {
            Some(average) => Cow::Owned(average.invert(&stored)),
            None => stored,
        };
        let num_it = match self.num_it {
            [] => 0,
            [one] => *one,
            each => each[index],
        };
        let num_it = usize::try_from(num_it).unwrap_or(0).max(losses.len());
        let diverged = self.diverged.is_some_and(|diverged| diverged[index]);
        let asked = Asked::new(&lrs, &losses, num_it, diverged);
        let mut row = Row {
            points,
            status: "none",
            reason: String::new(),
            lrs: Vec::with_capacity(self.methods.len()),
            interval: (f64::NAN, f64::NAN),
            snr: f64::NAN,
            agreement: f64::NAN,
        };
        let mut judged = None;
        for &method in self.methods {
            let answer = asked.ask(method, self.steps);
            row.lrs.push(answer.lr);
            if let Some(said) = answer.judged {
                judged = Some((said, answer.lr, answer.reason));
            } else if row.reason.is_empty() {
                row.reason = answer.reason;
            }
        }
        if let Some((said, lr, reason)) = judged {
            row.status = said.status.name();
            row.reason = reason;
            row.interval = said.interval.unwrap_or(row.interval);
            row.snr = said.snr;
            let robust = |(_, method): &(&f64, &Method)| **method != Method::Robust;
            let others: Vec<f64> =
                row.lrs.iter().zip(self.methods).filter(robust).map(|(lr, _)| *lr).collect();
            row.agreement = decades_apart(lr, &others);
        } else {
            let silent = row.lrs.iter().filter(|lr| lr.is_nan()).count();
            let status = match silent {
                0 => Status::Ok,
                _ if silent == row.lrs.len() => Status::None,
                _ => Status::Weak,
            };
            row.status = status.name();
        }
        row
    }

    fn bad(&self, points: i64, reason: String) -> Row {
        Row {
            points,
            status: "bad",
            reason,
            lrs: vec![f64::NAN; self.methods.len()],
            interval: (f64::NAN, f64::NAN),
            snr: f64::NAN,
            agreement: f64::NAN,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Lists, Method, Offsets, Questions, Values, many};

    fn questions<'a>(lrs: Lists<'a>, losses: Lists<'a>, methods: &'a [Method]) -> Questions<'a> {
        Questions {
            lrs,
            losses,
            valid: None,
            smoothing: None,
            num_it: &[],
            diverged: None,
            methods,
            steps: None,
        }
    }

    #[test]
    fn rows_have_answers_in_their_order_with_any_number_of_threads() {
        let lrs: Vec<f64> = (0..3000).map(|i| 1e-6 * f64::from(1 << (i % 30))).collect();
        let losses: Vec<f64> = (0..3000).map(|i| f64::from((i * 7) % 13)).collect();
        let offsets: Vec<i32> = (0..=300).map(|i| i * 10).collect();
        let rates = Lists::new(Values::F64(&lrs), Offsets::I32(&offsets)).unwrap();
        let values = Lists::new(Values::F64(&losses), Offsets::I32(&offsets)).unwrap();
        let asked = questions(rates, values, &Method::ALL);
        let (one, two) = (many(&asked, 1).unwrap(), many(&asked, 2).unwrap());
        assert_eq!(one.points, [10; 300]);
        assert_eq!((&one.status, &one.reasons), (&two.status, &two.reasons));
        assert_eq!(one.reason_ends, two.reason_ends);
        for (a, b) in one.lrs.iter().zip(&two.lrs) {
            assert!(a.iter().zip(b).all(|(a, b)| a.to_bits() == b.to_bits()));
        }
    }

    #[test]
    fn bad_rows_say_why_and_no_curves_have_no_answers() {
        let lrs = Lists::new(Values::F64(&[1.0, 2.0, f64::NAN]), Offsets::I64(&[0, 1, 1, 3, 3]));
        let losses = Lists::new(Values::F32(&[1.0, 2.0, 3.0]), Offsets::I64(&[0, 0, 1, 3, 3]));
        let valid = [true, false, true, true];
        let mut asked = questions(lrs.unwrap(), losses.unwrap(), &[Method::Minimum]);
        asked.valid = Some(&valid);
        let answers = many(&asked, 1).unwrap();
        assert_eq!(answers.status, ["bad", "bad", "bad", "none"]);
        let reasons = "`lrs` and `losses` must have the same length, got 1 and 0the curve is missing\
                       `lrs[1]` must be finite, got NaNthe sweep has no finite loss";
        assert_eq!(answers.reasons, reasons);
        let none = Lists::new(Values::F64(&[]), Offsets::I32(&[])).unwrap();
        assert!(none.is_empty());
        assert_eq!(
            many(&questions(none, none, &Method::ALL), 2).unwrap().lrs,
            vec![Vec::<f64>::new(); 8]
        );
    }

    #[test]
    fn wrong_offsets_and_counts_are_refused() {
        for offsets in [&[0, 3][..], &[2, 1], &[-1, 1]] {
            assert!(Lists::new(Values::F64(&[1.0, 2.0]), Offsets::I32(offsets)).is_err());
        }
        let one = Lists::new(Values::F64(&[1.0]), Offsets::I32(&[0, 1])).unwrap();
        let two = Lists::new(Values::F64(&[1.0]), Offsets::I32(&[0, 1, 1])).unwrap();
        assert!(many(&questions(one, two, &[]), 1).is_err());
    }
}
