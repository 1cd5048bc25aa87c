//! The elementary kernels: `sin^2(pi r / 2)`, `exp`, `ln` and the double-double steps between
//! them.
//!
//! Rule 3: every kernel is within 1 ulp, uses no fused multiply-add and no libm, and gives the
//! same bits on every CPU. The functions are branch-free and `inline(always)`, so the array
//! loops vectorise the very code the scalar path runs. The constants come from
//! `rust/core/constants.py`.

use fearless_simd::{Level, dispatch};

/// pi^2 / 4.
const C0: f64 = 2.467_401_100_272_339_5;
/// The top 19 bits of pi^2 / 4.
const C0_HI: f64 = 2.467_399_597_167_968_8;
/// pi^2 / 4 - `C0_HI`.
const C0_LO: f64 = 1.503_104_370_904_708_7e-6;
/// `(sin^2(pi r / 2) - C0 r^2) / r^4` in powers of `r^2` on `[0, 1/4]`, error 8.3e-19.
const SIN2_TAIL: [f64; 8] = [
    -2.029_356_063_208_384_2,
    0.667_631_384_427_294_3,
    -0.117_665_315_179_411_26,
    0.012_903_445_693_875_608,
    -0.000_964_787_136_910_120_1,
    5.231_890_046_433_558e-5,
    -2.150_814_802_631_549e-6,
    6.761_507_126_807_494e-8,
];
/// `(exp(f) - 1 - f) / f^2` in powers of `f` on `|f| <= ln(2) / 2`, error 1.5e-18.
const EXP_TAIL: [f64; 11] = [
    0.5,
    0.166_666_666_666_666_7,
    0.041_666_666_666_666_67,
    0.008_333_333_333_326_084,
    0.001_388_888_888_888_371_1,
    0.000_198_412_698_750_022_8,
    2.480_158_732_567_746e-5,
    2.755_725_517_000_089e-6,
    2.755_727_347_871_858e-7,
    2.510_531_272_962_210_3e-8,
    2.091_475_532_589_32e-9,
];
/// ln(2): 41 bits, so that a product with any exponent is exact, and the rest.
const LN2_HI: f64 = 0.693_147_180_559_663;
const LN2_LO: f64 = 2.823_529_056_303_157_7e-13;
/// 1.5 * 2^52: adding and subtracting it rounds to the nearest integer.
const ROUNDER: f64 = 6_755_399_441_055_744.0;

/// Keep the top `BITS` significant bits of `x`.
#[inline(always)]
fn top<const BITS: u32>(x: f64) -> f64 {
    f64::from_bits(x.to_bits() & (u64::MAX << (53 - BITS)))
}

/// `a + b` and its rounding error, for `|a| >= |b|` or `a == 0`.
#[inline(always)]
pub(crate) fn fast_two_sum(a: f64, b: f64) -> (f64, f64) {
    let sum = a + b;
    (sum, b - (sum - a))
}

/// `a + b` and its rounding error.
#[inline(always)]
pub(crate) fn two_sum(a: f64, b: f64) -> (f64, f64) {
    let sum = a + b;
    let b_seen = sum - a;
    (sum, (a - (sum - b_seen)) + (b - b_seen))
}

/// The rounding error of the product `p = x * y`, with `y` split as `y_top + y_rest`.
#[inline(always)]
fn product_error(x: f64, p: f64, y_top: f64, y_rest: f64) -> f64 {
    let x_top = top::<26>(x);
    let x_rest = x - x_top;
    ((x_top * y_top - p) + x_top * y_rest + x_rest * y_top) + x_rest * y_rest
}

/// A constant in two doubles, prepared for multiplication.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Factor {
    hi: f64,
    lo: f64,
    top: f64,
    rest: f64,
}

impl Factor {
    pub(crate) fn new((hi, lo): (f64, f64)) -> Self {
        let top = top::<26>(hi);
        Self { hi, lo, top, rest: hi - top }
    }

    /// `1 / (hi + lo)` to about 100 bits.
    pub(crate) fn reciprocal((hi, lo): (f64, f64)) -> Self {
        let inverse = 1.0 / hi;
        let product = inverse * hi;
        let hi_top = top::<26>(hi);
        let error = product_error(inverse, product, hi_top, hi - hi_top);
        Self::new((inverse, ((1.0 - product) - error - inverse * lo) / hi))
    }

    /// `(x_hi + x_lo) * self` in two doubles, to about 100 bits.
    #[inline(always)]
    pub(crate) fn times(&self, x_hi: f64, x_lo: f64) -> (f64, f64) {
        let product = x_hi * self.hi;
        let error = product_error(x_hi, product, self.top, self.rest);
        (product, error + (x_hi * self.lo + x_lo * self.hi))
    }
}

/// `sin^2(pi r / 2)` for `r = r_hi + r_lo`, `|r| <= 1/2`.
#[inline(always)]
pub(crate) fn sin2(r_hi: f64, r_lo: f64) -> f64 {
    let z = r_hi * r_hi;
    let h = top::<17>(r_hi);
    // 17 bits squared times 19 bits fit in 53: the leading product is exact.
    let square = h * h;
    let leading = square * C0_HI;
    let missing = (r_hi + h) * (r_hi - h) + 2.0 * r_hi * r_lo;
    let z2 = z * z;
    let [c0, c1, c2, c3, c4, c5, c6, c7] = SIN2_TAIL;
    let low = (c0 + c1 * z) + (c2 + c3 * z) * z2;
    let high = (c4 + c5 * z) + (c6 + c7 * z) * z2;
    let tail = low + high * (z2 * z2);
    // (r_hi + r_lo)^4 = r_hi^4 + 4 r_hi^3 r_lo to first order.
    let tail_weight = z * (z + 4.0 * r_hi * r_lo);
    leading + ((missing * C0 + square * C0_LO) + tail_weight * tail)
}

/// `sin^2(pi r / 2)` for any finite `r`: the period is 2 and the function is even.
pub(crate) fn sin2_any(r: f64) -> f64 {
    let r = (r % 2.0).abs();
    let r = if r > 1.0 { 2.0 - r } else { r };
    if r > 0.5 { 1.0 - sin2(1.0 - r, 0.0) } else { sin2(r, 0.0) }
}

/// `2^n` for `|n| <= 1022`, given `n + ROUNDER`.
#[inline(always)]
fn power_of_two(shifted: f64) -> f64 {
    f64::from_bits((shifted.to_bits() << 52).wrapping_add(1023 << 52))
}

/// `base * exp(y)` for `y = y_hi + y_lo`, `|y| <= 1400`.
#[inline(always)]
pub(crate) fn scaled_exp(base: f64, y_hi: f64, y_lo: f64) -> f64 {
    let n = (y_hi * std::f64::consts::LOG2_E + ROUNDER) - ROUNDER;
    let reduced = y_hi - n * LN2_HI;
    let (f, f_lo) = fast_two_sum(reduced, y_lo - n * LN2_LO);
    let f2 = f * f;
    let f4 = f2 * f2;
    let [c0, c1, c2, c3, c4, c5, c6, c7, c8, c9, c10] = EXP_TAIL;
    let low = (c0 + c1 * f) + (c2 + c3 * f) * f2;
    let middle = (c4 + c5 * f) + (c6 + c7 * f) * f2;
    let high = (c8 + c9 * f) + c10 * f2;
    let tail = low + (middle + high * f4) * f4;
    let (sum, sum_lo) = fast_two_sum(1.0, f);
    let exp = sum + (sum_lo + (f2 * tail + f_lo * sum));
    // Two halves, so that neither factor over- or underflows on its own.
    let half = (n * 0.5 + ROUNDER) - ROUNDER;
    base * exp * power_of_two(half + ROUNDER) * power_of_two((n - half) + ROUNDER)
}

/// `exp(y) - 1` in two doubles, for `y = y_hi + y_lo`, `|y| <= ln(2) / 2`.
#[inline(always)]
pub(crate) fn exp_less_one(y_hi: f64, y_lo: f64) -> (f64, f64) {
    let f = y_hi;
    let f2 = f * f;
    let f4 = f2 * f2;
    let [c0, c1, c2, c3, c4, c5, c6, c7, c8, c9, c10] = EXP_TAIL;
    let low = (c0 + c1 * f) + (c2 + c3 * f) * f2;
    let middle = (c4 + c5 * f) + (c6 + c7 * f) * f2;
    let high = (c8 + c9 * f) + c10 * f2;
    let tail = low + (middle + high * f4) * f4;
    fast_two_sum(f, y_lo * (1.0 + f) + f2 * tail)
}

/// `exp(y) - 1` and `exp(y)` for `y = y_hi + y_lo`, held within `[-1400, 500]`.
#[inline(always)]
pub(crate) fn exp_less_one_any(y_hi: f64, y_lo: f64) -> (f64, f64) {
    let (small, small_lo) = exp_less_one(y_hi, y_lo);
    let exp = scaled_exp(1.0, y_hi.clamp(-1400.0, 500.0), y_lo);
    (if y_hi.abs() <= SMALL { small + small_lo } else { exp - 1.0 }, exp)
}

/// Below `ln(2) / 2`.
pub(crate) const SMALL: f64 = 0.34;

/// `base * exp(y)` for any `y`, over- and underflowing as the exact value does.
pub(crate) fn scaled_exp_any(base: f64, y_hi: f64, y_lo: f64) -> f64 {
    if y_hi.abs() <= 1400.0 {
        scaled_exp(base, y_hi, y_lo)
    } else {
        // exp(1400) spans more than twice the range of float64: one more step decides.
        let step = 1400.0_f64.copysign(y_hi);
        scaled_exp(scaled_exp(base, step, 0.0), (y_hi - step).clamp(-1400.0, 1400.0), 0.0)
    }
}

/// `ln(x)` for `x = x_hi + x_lo > 0` in two doubles, absolute error below 2^-59.
#[inline(always)]
pub(crate) fn ln(x_hi: f64, x_lo: f64) -> (f64, f64) {
    const SQRT_HALF_BITS: u64 = 0x3fe6_a09e_667f_3bcd;
    const TWO_54: f64 = 18_014_398_509_481_984.0;
    // A subnormal has no exponent of its own to take apart.
    let (x_hi, x_lo, shift) = if x_hi < f64::MIN_POSITIVE {
        (x_hi * TWO_54, x_lo * TWO_54, 54.0)
    } else {
        (x_hi, x_lo, 0.0)
    };
    // x = 2^k m with m in [sqrt(1/2), sqrt(2)).
    let offset = x_hi.to_bits().wrapping_sub(SQRT_HALF_BITS);
    let exponent = offset.cast_signed() >> 52;
    let m = f64::from_bits(x_hi.to_bits().wrapping_sub(exponent.cast_unsigned() << 52));
    let scale = m / x_hi;
    let m_lo = x_lo * scale;
    let k = exponent as f64 - shift;

    // s = (m - 1) / (m + 1), ln m = 2 atanh(s).
    let numerator = m - 1.0;
    let (d, d_lo) = two_sum(m, 1.0);
    let s = numerator / d;
    let d_top = top::<26>(d);
    let product = s * d;
    let error = product_error(s, product, d_top, d - d_top);
    let s_lo = (((numerator - product) - error) + m_lo - s * (d_lo + m_lo)) / d;
    let t = s * s;
    let mut series = 0.0;
    let mut odd = 29.0;
    while odd >= 3.0 {
        series = series * t + 2.0 / odd;
        odd -= 2.0;
    }
    let (hi, carry) = two_sum(k * LN2_HI, 2.0 * s);
    let lo = carry + (2.0 * s_lo + (s * t * series + k * LN2_LO));
    fast_two_sum(hi, lo)
}

/// A running sum that is rounded exactly, once, whenever it is read (Shewchuk's expansion).
#[derive(Debug, Default)]
pub(crate) struct ExactSum {
    /// Parts that do not overlap, smallest first.
    parts: Vec<f64>,
}

impl ExactSum {
    pub(crate) fn add(&mut self, value: f64) {
        let mut x = value;
        let mut kept = 0;
        for index in 0..self.parts.len() {
            let (sum, error) = two_sum(x, self.parts[index]);
            if error != 0.0 {
                self.parts[kept] = error;
                kept += 1;
            }
            x = sum;
        }
        self.parts.truncate(kept);
        self.parts.push(x);
    }

    /// The sum, rounded half to even.
    pub(crate) fn value(&self) -> f64 {
        let mut rest = self.parts.iter().rev();
        let mut total = rest.next().copied().unwrap_or(0.0);
        while let Some(&next) = rest.next() {
            let (sum, error) = fast_two_sum(total, next);
            total = sum;
            if error != 0.0 {
                // A tie is broken by what lies below it.
                if let Some(&below) = rest.next()
                    && (below > 0.0) == (error > 0.0)
                {
                    let twice = error * 2.0;
                    let moved = total + twice;
                    if moved - total == twice {
                        total = moved;
                    }
                }
                break;
            }
        }
        total
    }
}

/// The natural logarithms of numbers above 0: [`ln`] of each, many at once.
pub(crate) fn logs(x: &[f64]) -> Vec<f64> {
    let mut out = vec![0.0; x.len()];
    dispatch!(Level::new(), _simd => each_log(x, &mut out));
    out
}

#[inline(always)]
fn each_log(x: &[f64], out: &mut [f64]) {
    for (x, out) in x.iter().zip(out) {
        *out = ln(*x, 0.0).0;
    }
}

/// The decimal logarithm of `x`, to an ulp or two.
pub(crate) fn log10(x: f64) -> f64 {
    ln(x, 0.0).0 * std::f64::consts::LOG10_E
}

/// Ten to the power of `x`, to a few ulp for the `x` of rates.
pub(crate) fn power_of_ten(x: f64) -> f64 {
    scaled_exp(1.0, x * std::f64::consts::LN_10, 0.0)
}

/// Standard deviation of a normal distribution over its median absolute deviation.
pub(crate) const NORMAL: f64 = 1.482_602_218_505_602;
