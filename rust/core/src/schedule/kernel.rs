//! One shape between two numbers: what is evaluated once per position and group.

use super::place::Near;
use crate::error::{Result, value_error};
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
    InverseSqrt { start: f64, end: f64, from_start: f64, from_end: f64 },
    Tanh { start: f64, end: f64, from_start: TanhSide, from_end: TanhSide },
}

/// `(exp(rate r) - 1) factor / (a exp(rate r) + 1 / a)`: the share that is left at the distance `r`
/// from one end of a tanh, exact where it is small.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TanhSide {
    rate: Factor,
    factor: f64,
    a: f64,
    inverse: f64,
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
                Self::InverseSqrt { .. } | Self::Tanh { .. } => self.value_anywhere(near),
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
            Self::InverseSqrt { .. } | Self::Tanh { .. } => self.value_anywhere(near),
        }
    }

    /// The value of those whose formula is the same everywhere.
    #[inline]
    fn value_anywhere(&self, near: Near) -> f64 {
        match *self {
            Self::InverseSqrt { start, end, from_start, from_end } => {
                inverse_sqrt(start, end, from_start, from_end, near)
            }
            Self::Tanh { start, end, from_start, from_end } => {
                tanh(start, end, &from_start, &from_end, near)
            }
            _ => f64::NAN,
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
    mixed(start, end, power_of(power, near))
}

/// `(1 - share) start + share end`.
#[inline(always)]
pub(crate) fn mixed(start: f64, end: f64, share: f64) -> f64 {
    (1.0 - share) * start + share * end
}

/// `p^power`.
fn power_of(power: f64, near: Near) -> f64 {
    match exact_power(power) {
        Some(ExactPower::One) => rounded(near),
        Some(ExactPower::Square) => square(near),
        Some(ExactPower::Cube) => cube(near),
        Some(ExactPower::Root) => rounded(near).sqrt(),
        None => power_anywhere(power, near),
    }
}

/// The common powers, by exact operations: exact where the result is representable.
#[derive(Debug, Clone, Copy)]
pub(crate) enum ExactPower {
    One,
    Square,
    Cube,
    Root,
}

#[inline(always)]
pub(crate) fn exact_power(power: f64) -> Option<ExactPower> {
    if power == 1.0 {
        Some(ExactPower::One)
    } else if power == 2.0 {
        Some(ExactPower::Square)
    } else if power == 3.0 {
        Some(ExactPower::Cube)
    } else if power == 0.5 {
        Some(ExactPower::Root)
    } else {
        None
    }
}

/// `p` as one number.
#[inline(always)]
pub(crate) fn rounded(near: Near) -> f64 {
    let (p, p_lo) = near.start_pair();
    p + p_lo
}

#[inline(always)]
pub(crate) fn square(near: Near) -> f64 {
    let p = rounded(near);
    p * p
}

#[inline(always)]
pub(crate) fn cube(near: Near) -> f64 {
    let p = rounded(near);
    p * p * p
}

/// `p^power` for `p` of at least 0 and at most 1, without a branch.
#[inline(always)]
pub(crate) fn power_inside(power: &Factor, near: Near) -> f64 {
    let (p, p_lo) = near.start_pair();
    let (ln, ln_lo) = math::ln(p, p_lo);
    let (y, y_lo) = power.times(ln, ln_lo);
    let value = math::scaled_exp(1.0, y.clamp(-1400.0, 700.0), y_lo);
    if p + p_lo == 0.0 { 0.0 } else { value }
}

/// `p^power` for any `p`.
fn power_anywhere(power: f64, near: Near) -> f64 {
    let (p, p_lo) = near.start_pair();
    if p + p_lo == 0.0 {
        return 0.0;
    }
    let (ln, ln_lo) = math::ln(p.abs(), if p < 0.0 { -p_lo } else { p_lo });
    let (y, y_lo) = Factor::new((power, 0.0)).times(ln, ln_lo);
    let magnitude = math::scaled_exp_any(1.0, y, y_lo);
    if p < 0.0 && power % 2.0 != 0.0 { -magnitude } else { magnitude }
}

/// Prepare `1 / sqrt(q / start^2 + p / end^2)`.
pub(super) fn inverse_sqrt_between(start: f64, end: f64) -> Result<Kernel> {
    // ratio^2 - 1, without the loss of digits where the ends are close.
    let excess = |ratio: f64| (ratio - 1.0) * (ratio + 1.0);
    let (from_start, from_end) = (excess(start / end), excess(end / start));
    if !(from_start.is_finite() && from_end.is_finite()) {
        return Err(value_error!(
            "`start` and `end` of an inverse square root schedule must be within a factor of \
             1e150, got {start:?} and {end:?}"
        ));
    }
    Ok(Kernel::InverseSqrt { start, end, from_start, from_end })
}

/// `1 / sqrt(q / start^2 + p / end^2)`, from the nearer end.
#[inline(always)]
pub(crate) fn inverse_sqrt(
    start: f64,
    end: f64,
    from_start: f64,
    from_end: f64,
    near: Near,
) -> f64 {
    let (close, excess) = if near.from_end { (end, from_end) } else { (start, from_start) };
    close / (1.0 + (near.r + near.lo) * excess).sqrt()
}

/// Refuse bounds between which tanh does not rise.
pub(super) fn check_tanh(lower: f64, upper: f64) -> Result<()> {
    // Beyond, tanh is 1 to all digits over nearly all of the schedule.
    const MOST: f64 = 100.0;
    if lower.abs() <= MOST && upper.abs() <= MOST && lower < upper {
        return Ok(());
    }
    Err(value_error!(
        "`lower` must be below `upper`, both between -{MOST:?} and {MOST:?}, got {lower:?} and \
         {upper:?}"
    ))
}

/// Prepare a tanh between two ends.
pub(super) fn tanh_between(start: f64, end: f64, lower: f64, upper: f64) -> Kernel {
    let exp = |x| math::scaled_exp(1.0, x, 0.0);
    let twice_cosh = |x: f64| exp(x) + exp(-x);
    // 2 sinh(d) = (exp(2 d) - 1) / exp(d).
    let (width, width_lo) = math::two_sum(upper, -lower);
    let rate = (2.0 * width, 2.0 * width_lo);
    let twice_sinh =
        math::exp_less_one_any(rate.0, rate.1).0 * math::scaled_exp(1.0, -width, -width_lo);
    let side = |near: f64, far: f64| TanhSide {
        rate: Factor::new(rate),
        factor: twice_cosh(far) / twice_sinh,
        a: exp(near),
        inverse: exp(-near),
    };
    Kernel::Tanh { start, end, from_start: side(lower, upper), from_end: side(-upper, -lower) }
}

/// `start + (end - start) (tanh(lower + (upper - lower) p) - tanh(lower)) / (tanh(upper) -
/// tanh(lower))`, from the nearer end.
#[inline(always)]
pub(crate) fn tanh(
    start: f64,
    end: f64,
    from_start: &TanhSide,
    from_end: &TanhSide,
    near: Near,
) -> f64 {
    let side = if near.from_end { from_end } else { from_start };
    let (y, y_lo) = side.rate.times(near.r, near.lo);
    let (grown, exp) = math::exp_less_one_any(y, y_lo);
    mix(start, end, near, grown * side.factor / (side.a * exp + side.inverse))
}
