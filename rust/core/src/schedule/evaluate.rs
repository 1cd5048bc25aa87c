//! Schedules at one position, at many, and on a grid of steps.

use fearless_simd::{Level, dispatch};

use super::kernel::{self, Kernel};
use super::place::{Near, Pos, Span};
use super::{Body, Combined, Kernels, Part, Schedule, Shape, Simple};
use crate::error::{Error, Result, value_error};

/// Positions evaluated together: small enough for the first-level cache.
pub(super) const CHUNK: usize = 256;

impl Schedule {
    /// The value at `pos` of a schedule without groups.
    pub fn at(&self, pos: f64) -> Result<f64> {
        match self.at_inside(pos) {
            Some(value) => Ok(value),
            None => self.at_anywhere(pos),
        }
    }

    /// The short way: positions in `[0, 1]` of a schedule without groups that is simple, or
    /// combined from simple ones; `None` for all that [`Schedule::at`] has to look at closer.
    #[inline]
    #[must_use]
    pub fn at_inside(&self, pos: f64) -> Option<f64> {
        if !(0.0..=1.0).contains(&pos) {
            return None;
        }
        let pos = Pos { hi: pos, lo: 0.0 };
        match &*self.0 {
            Body::Simple(Simple { kernels: Kernels::One(kernel), .. }) => {
                Some(kernel.value(pos.near()))
            }
            Body::Combined(combined) => {
                let stretch = &combined.stretches[combined.phase_index(pos.hi)];
                stretch.kernel.as_ref().map(|kernel| kernel.value(stretch.span.near::<false>(pos)))
            }
            _ => None,
        }
    }

    fn at_anywhere(&self, pos: f64) -> Result<f64> {
        let mut value = [0.0];
        self.at_groups(pos, &mut value)?;
        Ok(value[0])
    }

    /// The values at `pos`, one a group, into `out` (`groups` values, or one without groups).
    pub fn at_groups(&self, pos: f64, out: &mut [f64]) -> Result<()> {
        check_position(pos)?;
        self.value::<false>(Pos { hi: pos, lo: 0.0 }, out)?;
        check_values(out, &[pos])
    }

    /// The values at every position, position by position, `groups` values each.
    ///
    /// Every value is the same bits as [`Schedule::at`] gives.
    pub fn at_many(&self, positions: &[f64]) -> Result<Vec<f64>> {
        if let Some(bad) = positions.iter().find(|pos| !pos.is_finite()) {
            return Err(not_finite(*bad));
        }
        self.fill(positions.len(), |first, chunk| {
            chunk.copy_from_slice(&positions[first..first + chunk.len()]);
        })
    }

    /// The values a training of `steps` steps sees: at `k / steps`, or with `end` at
    /// `k / (steps - 1)`, so that the last is the schedule's end (rule 1).
    pub fn values(&self, steps: usize, end: bool) -> Result<Vec<f64>> {
        if steps == 0 {
            return Err(value_error!("`steps` must be at least 1, got 0"));
        }
        let denominator = if end { (steps - 1).max(1) } else { steps } as f64;
        self.fill(steps, |first, chunk| {
            let first = first as f64;
            for (i, pos) in (0_i32..).zip(chunk) {
                *pos = (first + f64::from(i)) / denominator;
            }
        })
    }

    /// Evaluate `count` positions, written chunk by chunk by `positions(first, chunk)`.
    fn fill(&self, count: usize, positions: impl Fn(usize, &mut [f64])) -> Result<Vec<f64>> {
        let width = self.groups().unwrap_or(1);
        let too_large =
            || Error::Memory(format!("{count} positions of {width} values do not fit into memory"));
        let size = count.checked_mul(width).ok_or_else(too_large)?;
        let mut out = Vec::new();
        out.try_reserve_exact(size).map_err(|_| too_large())?;
        let level = Level::new();
        let mut hi = [0.0; CHUNK];
        let lo = [0.0; CHUNK];
        let mut values = vec![0.0; CHUNK.min(count) * width];
        for first in (0..count).step_by(CHUNK) {
            let n = CHUNK.min(count - first);
            dispatch!(level, _simd => positions(first, &mut hi[..n]));
            self.chunk::<false>(level, &hi[..n], &lo[..n], &mut values[..n * width])?;
            check_values(&values[..n * width], &hi[..n])?;
            out.extend_from_slice(&values[..n * width]);
        }
        Ok(out)
    }

    /// The values at one position.
    pub(super) fn value<const NESTED: bool>(&self, pos: Pos, out: &mut [f64]) -> Result<()> {
        match &*self.0 {
            Body::Simple(simple) => {
                simple.shape.check_domain(pos.hi)?;
                simple.kernels.at(pos.near(), out);
                Ok(())
            }
            Body::Combined(combined) => {
                let (span, part) = combined.phase(pos.hi)?;
                part.value(span.near::<NESTED>(pos), out)
            }
            Body::Made(made) => made.value::<NESTED>(pos, out),
            Body::Repeat(repeat) => repeat.run.value::<NESTED>(pos, out),
        }
    }

    /// The values at up to `CHUNK` positions `hi + lo`.
    pub(super) fn chunk<const NESTED: bool>(
        &self,
        level: Level,
        hi: &[f64],
        lo: &[f64],
        out: &mut [f64],
    ) -> Result<()> {
        match &*self.0 {
            Body::Simple(simple) => {
                let lowest = hi.iter().copied().fold(f64::INFINITY, f64::min);
                simple.shape.check_domain(lowest)?;
                simple.kernels.run::<NESTED>(level, &Span::whole(), hi, lo, out);
                Ok(())
            }
            Body::Combined(combined) => combined.chunk::<NESTED>(level, hi, lo, out),
            Body::Made(made) => made.chunk::<NESTED>(level, hi, lo, out),
            Body::Repeat(repeat) => repeat.run.chunk::<NESTED>(level, hi, lo, out),
        }
    }
}

impl Shape {
    /// A fractional power of a negative position is no real number.
    #[inline(always)]
    fn check_domain(self, pos: f64) -> Result<()> {
        if let Self::Poly { power } = self
            && pos < 0.0
            && power % 1.0 != 0.0
        {
            return Err(value_error!(
                "`pos` must be at least 0 for a polynomial of fractional power {power:?}, got {pos:?}"
            ));
        }
        Ok(())
    }
}

impl Part {
    fn value(&self, near: Near, out: &mut [f64]) -> Result<()> {
        match self {
            Self::Schedule(schedule) => {
                if let Body::Simple(simple) = &*schedule.0 {
                    simple.kernels.at(near, out);
                    return Ok(());
                }
                let (hi, lo) = near.start_pair();
                schedule.value::<true>(Pos { hi, lo }, out)
            }
            Self::Custom(custom) => {
                let (hi, lo) = near.start_pair();
                custom.at(hi + lo, out)
            }
        }
    }
}

impl Combined {
    /// The phase that `pos` lies in (rule 2).
    #[inline]
    fn phase(&self, pos: f64) -> Result<(&Span, &Part)> {
        if pos < 0.0 {
            return Err(below_zero(pos));
        }
        let stretch = &self.stretches[self.phase_index(pos)];
        Ok((&stretch.span, &self.parts[stretch.index]))
    }

    /// The last phase whose threshold is at or below `pos`; the first one starts at 0.
    #[inline]
    fn phase_index(&self, pos: f64) -> usize {
        let later = &self.stretches[1..];
        if later.len() < 8 {
            later.iter().filter(|stretch| pos >= stretch.span.threshold).count()
        } else {
            later.partition_point(|stretch| pos >= stretch.span.threshold)
        }
    }

    fn chunk<const NESTED: bool>(
        &self,
        level: Level,
        hi: &[f64],
        lo: &[f64],
        out: &mut [f64],
    ) -> Result<()> {
        let width = out.len() / hi.len().max(1);
        let mut first = 0;
        while first < hi.len() {
            let (span, part) = self.phase(hi[first])?;
            let index = self.phase_index(hi[first]);
            let next =
                self.stretches.get(index + 1).map_or(f64::INFINITY, |next| next.span.threshold);
            let low = if index == 0 { 0.0 } else { span.threshold };
            let same = |pos: &f64| *pos >= low && *pos < next;
            // The whole rest in one phase is the common case, and vectorises.
            let rest = &hi[first..];
            let run = if rest.iter().fold(true, |all, pos| all & same(pos)) {
                rest.len()
            } else {
                rest.iter().position(|pos| !same(pos)).unwrap_or(rest.len())
            };
            let end = first + run;
            let values = &mut out[first * width..end * width];
            part.run::<NESTED>(level, span, &hi[first..end], &lo[first..end], values)?;
            first = end;
        }
        Ok(())
    }
}

impl Part {
    /// The values at positions that all lie in `span`.
    fn run<const NESTED: bool>(
        &self,
        level: Level,
        span: &Span,
        hi: &[f64],
        lo: &[f64],
        out: &mut [f64],
    ) -> Result<()> {
        let width = out.len() / hi.len().max(1);
        match self {
            Self::Schedule(schedule) => {
                if let Body::Simple(simple) = &*schedule.0 {
                    simple.kernels.run::<NESTED>(level, span, hi, lo, out);
                    return Ok(());
                }
                let mut local_hi = [0.0; CHUNK];
                let mut local_lo = [0.0; CHUNK];
                for (i, (&hi, &lo)) in hi.iter().zip(lo).enumerate() {
                    (local_hi[i], local_lo[i]) = span.near::<NESTED>(Pos { hi, lo }).start_pair();
                }
                schedule.chunk::<true>(level, &local_hi[..hi.len()], &local_lo[..hi.len()], out)
            }
            Self::Custom(_) => {
                for (i, (&hi, &lo)) in hi.iter().zip(lo).enumerate() {
                    let near = span.near::<NESTED>(Pos { hi, lo });
                    self.value(near, &mut out[i * width..(i + 1) * width])?;
                }
                Ok(())
            }
        }
    }
}

impl Kernels {
    /// The values at one position.
    #[inline]
    fn at(&self, near: Near, out: &mut [f64]) {
        match self {
            Self::One(kernel) => out.fill(kernel.value(near)),
            Self::Many(kernels) => {
                for (out, kernel) in out.iter_mut().zip(kernels) {
                    *out = kernel.value(near);
                }
            }
        }
    }

    /// The values at positions that all lie in `span`.
    fn run<const NESTED: bool>(
        &self,
        level: Level,
        span: &Span,
        hi: &[f64],
        lo: &[f64],
        out: &mut [f64],
    ) {
        let width = out.len() / hi.len().max(1);
        if width == 1 {
            kernel_run::<NESTED>(self.get(0), level, span, hi, lo, out);
            return;
        }
        let mut column = [0.0; CHUNK];
        for group in 0..width {
            kernel_run::<NESTED>(self.get(group), level, span, hi, lo, &mut column[..hi.len()]);
            for (row, value) in column[..hi.len()].iter().enumerate() {
                out[row * width + group] = *value;
            }
        }
    }

    fn get(&self, group: usize) -> &Kernel {
        match self {
            Self::One(kernel) => kernel,
            Self::Many(kernels) => &kernels[group],
        }
    }
}

/// One group's values at positions that all lie in `span`.
fn kernel_run<const NESTED: bool>(
    kernel: &Kernel,
    level: Level,
    span: &Span,
    hi: &[f64],
    lo: &[f64],
    out: &mut [f64],
) {
    let span = *span;
    // The vectorised bodies hold within [0, 1]; outside, the scalar path takes over.
    let inside = hi.iter().fold(true, |all, pos| all & (*pos >= 0.0) & (*pos <= 1.0));
    match *kernel {
        Kernel::Constant(value) => out.fill(value),
        Kernel::Lin { start, end } => {
            dispatch!(level, _simd => each::<NESTED>(span, hi, lo, out, |near| kernel::lin(start, end, near)));
        }
        Kernel::Cos { start, end } if inside => {
            dispatch!(level, _simd => each::<NESTED>(span, hi, lo, out, |near| kernel::cos(start, end, near)));
        }
        Kernel::Exp { start, end, log_ratio } if inside => {
            dispatch!(level, _simd => each::<NESTED>(span, hi, lo, out, |near| {
                kernel::exp(start, end, &log_ratio, near)
            }));
        }
        Kernel::InverseSqrt { start, end, from_start, from_end } => {
            dispatch!(level, _simd => each::<NESTED>(span, hi, lo, out, |near| {
                kernel::inverse_sqrt(start, end, from_start, from_end, near)
            }));
        }
        Kernel::Tanh { start, end, from_start, from_end } => {
            dispatch!(level, _simd => each::<NESTED>(span, hi, lo, out, |near| {
                kernel::tanh(start, end, &from_start, &from_end, near)
            }));
        }
        _ => each::<NESTED>(span, hi, lo, out, |near| kernel.value(near)),
    }
}

#[inline(always)]
fn each<const NESTED: bool>(
    span: Span,
    hi: &[f64],
    lo: &[f64],
    out: &mut [f64],
    value: impl Fn(Near) -> f64,
) {
    for ((out, &hi), &lo) in out.iter_mut().zip(hi).zip(lo) {
        *out = value(span.near::<NESTED>(Pos { hi, lo }));
    }
}

#[inline(always)]
fn check_position(pos: f64) -> Result<()> {
    if pos.is_finite() { Ok(()) } else { Err(not_finite(pos)) }
}

/// Refuse values that are no numbers: a formula has none there, or `inf - inf` came up.
#[inline(always)]
fn check_values(values: &[f64], positions: &[f64]) -> Result<()> {
    if values.iter().fold(false, |any, value| any | value.is_nan()) {
        return Err(no_value(values, positions));
    }
    Ok(())
}

#[cold]
fn no_value(values: &[f64], positions: &[f64]) -> Error {
    let width = values.len() / positions.len();
    let index = values.iter().position(|value| value.is_nan()).unwrap_or(0) / width;
    value_error!("the schedule has no value at pos {:?}", positions[index])
}

#[cold]
fn not_finite(pos: f64) -> Error {
    value_error!("`pos` must be a finite number, got {pos:?}")
}

#[cold]
fn below_zero(pos: f64) -> Error {
    value_error!("`pos` must be at least 0 for a combined schedule, got {pos:?}")
}
