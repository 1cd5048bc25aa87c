//! The rows of a long table, run by run.

use std::cmp::Ordering;

use crate::error::{Result, value_error};

/// What orders the rows of a run.
#[derive(Debug, Clone, Copy)]
pub enum Steps<'a> {
    /// Integers, of any size.
    I64(&'a [i64]),
    /// Numbers; NaN are last.
    F64(&'a [f64]),
}

impl Steps<'_> {
    fn len(&self) -> usize {
        match self {
            Self::I64(steps) => steps.len(),
            Self::F64(steps) => steps.len(),
        }
    }

    fn compare(&self, a: usize, b: usize) -> Ordering {
        match self {
            Self::I64(steps) => steps[a].cmp(&steps[b]),
            Self::F64(steps) => steps[a].total_cmp(&steps[b]),
        }
    }
}

/// Where the rows of each run lie: `order` lists the rows run by run, in the order in which the
/// runs are first met and inside a run in that of `steps` (equal ones as they are met); `offsets`
/// says where each run begins in it. `order` is `None` where the rows lie so already.
///
/// # Errors
/// The lengths differ, or a code is not below `runs`.
pub fn by_run(
    codes: &[i32],
    runs: usize,
    steps: Option<Steps<'_>>,
) -> Result<(Option<Vec<i64>>, Vec<i64>)> {
    if let Some(steps) = steps.filter(|steps| steps.len() != codes.len()) {
        return Err(value_error!(
            "`steps` must be as many as there are rows, {}, got {}",
            codes.len(),
            steps.len()
        ));
    }
    let mut counts = vec![0_i64; runs + 1];
    let mut sorted = true;
    let mut before = 0;
    for (row, &code) in codes.iter().enumerate() {
        let run = usize::try_from(code).ok().filter(|run| *run < runs);
        let run = run.ok_or_else(|| value_error!("the code of row {row} is no run: {code}"))?;
        counts[run + 1] += 1;
        sorted &= code >= before;
        sorted &= steps.is_none_or(|steps| {
            row == 0 || code != before || steps.compare(row - 1, row) != Ordering::Greater
        });
        before = code;
    }
    for run in 0..runs {
        counts[run + 1] += counts[run];
    }
    if sorted {
        return Ok((None, counts));
    }
    let mut order = vec![0_i64; codes.len()];
    let mut next = counts.clone();
    for (row, &code) in codes.iter().enumerate() {
        // Checked above.
        #[expect(clippy::cast_sign_loss, reason = "a code of a run")]
        let place = &mut next[code as usize];
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a row")]
        let index = *place as usize;
        #[expect(clippy::cast_possible_wrap, reason = "a row")]
        let number = row as i64;
        order[index] = number;
        *place += 1;
    }
    if let Some(steps) = steps {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a row")]
        let at = |row: &i64| *row as usize;
        let mut rest = &mut order[..];
        for pair in counts.windows(2) {
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a row")]
            let (run, others) = rest.split_at_mut((pair[1] - pair[0]) as usize);
            run.sort_by(|a, b| steps.compare(at(a), at(b)));
            rest = others;
        }
    }
    Ok((Some(order), counts))
}

#[cfg(test)]
mod tests {
    use super::{Steps, by_run};

    #[test]
    fn rows_of_runs_are_gathered_stably_and_by_step() {
        assert_eq!(by_run(&[0, 0, 1, 2], 3, None).unwrap(), (None, vec![0, 2, 3, 4]));
        let (order, offsets) = by_run(&[0, 1, 0, 1, 0], 2, None).unwrap();
        assert_eq!((order.unwrap(), offsets), (vec![0, 2, 4, 1, 3], vec![0, 3, 5]));
        let steps = [2.0, 1.0, 0.0, 1.0, 1.0];
        let (order, _) = by_run(&[0, 1, 0, 1, 0], 2, Some(Steps::F64(&steps))).unwrap();
        assert_eq!(order.unwrap(), [2, 4, 0, 1, 3]);
        let (order, _) = by_run(&[0, 0, 0], 1, Some(Steps::F64(&[1.0, 2.0, f64::NAN]))).unwrap();
        assert_eq!(order, None);
        let large = [i64::MAX - 1, i64::MAX - 2, i64::MAX];
        let (order, _) = by_run(&[0, 0, 0], 1, Some(Steps::I64(&large))).unwrap();
        assert_eq!(order.unwrap(), [1, 0, 2]);
        assert!(by_run(&[1], 1, None).is_err());
        assert!(by_run(&[0], 1, Some(Steps::I64(&[]))).is_err());
    }
}
