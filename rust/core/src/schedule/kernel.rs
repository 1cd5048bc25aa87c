//! One shape between two numbers: what is evaluated once per position and group.

use super::place::Near;
use crate::math::{self, Factor};

/// A simple schedule of one group, prepared for evaluation (rule 3).
///
/// The scalar path and the vectorised loops both call [`Kernel::value_inside`]'s arms, so their
/// results are the same bits.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Kernel {
    Constant(f64),
    Lin { start: f64, end: f64 },
    Cos { start: f64, end: f64 },
    Exp { start: f64, end: f64, log_ratio: Factor },
    Poly { start: f64, end: f64, power: f64 },
}

/// How far `r` may pass 1/2 by rounding.
const HALF: f64 = 0.500_000_1;

impl Kernel {
    /// The value at `near`, inside `[0, 1]` or outside (rule 5).
    #[inline]
    pub(crate) fn value(&self, near: Near) -> f64 {
        if near.r.abs() <= HALF {
            return match *self {
                Self::Constant(value) => value,
                Self::Lin { start, end } => lin(start, end, near),
                Self::Cos { start, end } => cos(start, end, near),
                Self::Exp { start, end, log_ratio } => exp(start, end, &log_ratio, near),
                Self::Poly { start, end, power } => poly(start, end, power, near),
            };
        }
        self.value_far_outside(near)
    }

    #[cold]
    fn value_far_outside(&self, near: Near) -> f64 {
        match *self {
            Self::Cos { start, end } => mix(start, end, near, math::sin2_any(near.r)),
            Self::Exp { start, end, log_ratio } => {
                let (base, y, y_lo) = exponent(start, end, &log_ratio, near);
                math::scaled_exp_any(base, y, y_lo)
            }
            Self::Constant(value) => value,
            Self::Lin { start, end } => lin(start, end, near),
            // As written: far outside, one term of the other form can overflow times 0.
            Self::Poly { start, end, power } => start + (end - start) * power_of(power, near),
        }
    }
}

/// `(1 - share) * near end + share * far end`.
#[inline(always)]
fn mix(start: f64, end: f64, near: Near, share: f64) -> f64 {
    let (close, far) = if near.from_end { (end, start) } else { (start, end) };
    (1.0 - share) * close + share * far
}

/// `q start + p end`.
#[inline(always)]
pub(crate) fn lin(start: f64, end: f64, near: Near) -> f64 {
    mix(start, end, near, near.r + near.lo)
}

/// `sin^2(pi q / 2) start + sin^2(pi p / 2) end`, for `|near.r| <= 1/2`.
#[inline(always)]
pub(crate) fn cos(start: f64, end: f64, near: Near) -> f64 {
    mix(start, end, near, math::sin2(near.r, near.lo))
}

/// `start (end / start)^p`, from the nearer end, for `|near.r| <= 1/2`.
#[inline(always)]
pub(crate) fn exp(start: f64, end: f64, log_ratio: &Factor, near: Near) -> f64 {
    let (base, y, y_lo) = exponent(start, end, log_ratio, near);
    math::scaled_exp(base, y, y_lo)
}

#[inline(always)]
fn exponent(start: f64, end: f64, log_ratio: &Factor, near: Near) -> (f64, f64, f64) {
    let (y, y_lo) = log_ratio.times(near.r, near.lo);
    if near.from_end { (end, -y, -y_lo) } else { (start, y, y_lo) }
}

/// `(1 - p^power) start + p^power end`.
fn poly(start: f64, end: f64, power: f64, near: Near) -> f64 {
    let share = power_of(power, near);
    (1.0 - share) * start + share * end
}

/// `p^power`.
fn power_of(power: f64, near: Near) -> f64 {
    let (p, p_lo) = near.start_pair();
    let rounded = p + p_lo;
    // The common powers by exact operations: exact where the result is representable.
    if power == 1.0 {
        rounded
    } else if power == 2.0 {
        rounded * rounded
    } else if power == 3.0 {
        rounded * rounded * rounded
    } else if power == 0.5 {
        rounded.sqrt()
    } else if rounded == 0.0 {
        0.0
    } else {
        let (ln, ln_lo) = math::ln(p.abs(), if p < 0.0 { -p_lo } else { p_lo });
        let (y, y_lo) = Factor::new((power, 0.0)).times(ln, ln_lo);
        let magnitude = math::scaled_exp_any(1.0, y, y_lo);
        if p < 0.0 && power % 2.0 != 0.0 { -magnitude } else { magnitude }
    }
}
