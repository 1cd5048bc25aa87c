//! Schedules at one position, at many, and on a grid of steps.

use fearless_simd::{Level, dispatch};

use super::kernel::{self, ExactPower, Kernel};
use super::place::{Near, Pos, Span};
use super::{Body, Combined, Kernels, Part, Schedule, Shape, Simple};
use crate::error::{Error, Result, value_error};
use crate::math::Factor;

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
        let width = self.groups().unwrap_or(1);
        let mut out = zeros(positions.len(), width)?;
        let level = Level::new();
        let lo = [0.0; CHUNK];
        for (hi, out) in positions.chunks(CHUNK).zip(out.chunks_mut(CHUNK * width)) {
            self.chunk::<false>(level, hi, &lo[..hi.len()], out)?;
            check_values(out, hi)?;
        }
        Ok(out)
    }

    /// The values a training of `steps` steps sees: at `k / steps`, or with `end` at
    /// `k / (steps - 1)`, so that the last is the schedule's end (rule 1).
    pub fn values(&self, steps: usize, end: bool) -> Result<Vec<f64>> {
        if steps == 0 {
            return Err(value_error!("`steps` must be at least 1, got 0"));
        }
        let denominator = if end { (steps - 1).max(1) } else { steps } as f64;
        if let Some(values) = self.values_by_phase(steps, denominator)? {
            return Ok(values);
        }
        let width = self.groups().unwrap_or(1);
        let mut out = zeros(steps, width)?;
        let level = Level::new();
        steps_run(level, 0, denominator, width, &mut out, |hi, lo, out| {
            self.chunk::<false>(level, hi, lo, out)
        })?;
        Ok(out)
    }

    /// The short way to [`Schedule::values`], phase by phase: a phase of one kernel needs no
    /// positions, only its steps.
    fn values_by_phase(&self, steps: usize, denominator: f64) -> Result<Option<Vec<f64>>> {
        let level = Level::new();
        match &*self.0 {
            Body::Simple(Simple { kernels: Kernels::One(kernel), .. }) => {
                let mut out = zeros(steps, 1)?;
                for (block, out) in out.chunks_mut(BLOCK).enumerate() {
                    let local = WholeSteps { first: (block * BLOCK) as f64, denominator };
                    kernel_run(kernel, level, &local, out);
                }
                Ok(Some(out))
            }
            Body::Combined(combined) => {
                let width = combined.groups.unwrap_or(1);
                let mut out = zeros(steps, width)?;
                let mut first = 0;
                for (index, stretch) in combined.stretches.iter().enumerate() {
                    let next = combined.stretches.get(index + 1);
                    let end = next.map_or(steps, |next| {
                        first_step(next.span.threshold, first, steps, denominator)
                    });
                    let out = &mut out[first * width..end * width];
                    if let Some(kernel) = &stretch.kernel {
                        for (block, out) in out.chunks_mut(BLOCK).enumerate() {
                            let first = (first + block * BLOCK) as f64;
                            let local = StepsIn { span: stretch.span, first, denominator };
                            kernel_run(kernel, level, &local, out);
                        }
                    } else {
                        let part = &combined.parts[stretch.index];
                        steps_run(level, first, denominator, width, out, |hi, lo, out| {
                            part.run::<false>(level, &stretch.span, hi, lo, out)
                        })?;
                    }
                    first = end;
                }
                Ok(Some(out))
            }
            Body::Repeat(repeat) => repeat.run.values_by_phase(steps, denominator),
            _ => Ok(None),
        }
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
                simple.kernels.run(level, &BarePositions { hi, lo }, hi.len(), out);
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
            if run == 0 {
                // Infinite minus infinite, far outside.
                return Err(not_finite(hi[first]));
            }
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
                    let local = PositionsIn::<NESTED> { span: *span, hi, lo };
                    simple.kernels.run(level, &local, hi.len(), out);
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

    /// The values at `count` places, position by position.
    fn run(&self, level: Level, local: &impl Local, count: usize, out: &mut [f64]) {
        let width = out.len() / count.max(1);
        if width == 1 {
            kernel_run(self.get(0), level, local, out);
            return;
        }
        let mut column = [0.0; CHUNK];
        for group in 0..width {
            kernel_run(self.get(group), level, local, &mut column[..count]);
            for (row, value) in column[..count].iter().enumerate() {
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

/// Room for `width` values at each of `count` positions.
fn zeros(count: usize, width: usize) -> Result<Vec<f64>> {
    let too_large =
        || Error::Memory(format!("{count} positions of {width} values do not fit into memory"));
    let size = count.checked_mul(width).ok_or_else(too_large)?;
    let mut out = Vec::new();
    out.try_reserve_exact(size).map_err(|_| too_large())?;
    out.resize(size, 0.0);
    Ok(out)
}

/// The values at steps from `first` on, by a function of at most [`CHUNK`] positions.
fn steps_run(
    level: Level,
    first: usize,
    denominator: f64,
    width: usize,
    out: &mut [f64],
    mut run: impl FnMut(&[f64], &[f64], &mut [f64]) -> Result<()>,
) -> Result<()> {
    let mut hi = [0.0; CHUNK];
    let lo = [0.0; CHUNK];
    for (chunk, out) in out.chunks_mut(CHUNK * width).enumerate() {
        let n = out.len() / width;
        let first = (first + chunk * CHUNK) as f64;
        dispatch!(level, _simd => positions_of(first, denominator, &mut hi[..n]));
        run(&hi[..n], &lo[..n], out)?;
        check_values(out, &hi[..n])?;
    }
    Ok(())
}

#[inline(always)]
fn positions_of(first: f64, denominator: f64, out: &mut [f64]) {
    for (index, pos) in (0_i32..).zip(out) {
        *pos = (first + f64::from(index)) / denominator;
    }
}

/// The first step, from `first` on, whose position is at or above `threshold`; `steps` if none is.
fn first_step(threshold: f64, first: usize, steps: usize, denominator: f64) -> usize {
    let (mut low, mut high) = (first, steps);
    while low < high {
        let middle = usize::midpoint(low, high);
        if (middle as f64) / denominator >= threshold {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    low
}

/// Steps counted in one `i32`, whose conversion to float64 vectorises.
const BLOCK: usize = 1 << 16;

/// Whether all positions are within [0, 1].
fn all_inside(positions: &[f64]) -> bool {
    positions.iter().fold(true, |all, pos| all & (*pos >= 0.0) & (*pos <= 1.0))
}

/// Places in one phase.
trait Local {
    /// Write the value at each place.
    fn each(&self, out: &mut [f64], value: impl Fn(Near) -> f64);
    /// Whether all are within the whole schedule.
    fn inside(&self) -> bool;
}

/// Positions that all lie in a span.
struct PositionsIn<'a, const NESTED: bool> {
    span: Span,
    hi: &'a [f64],
    lo: &'a [f64],
}

impl<const NESTED: bool> Local for PositionsIn<'_, NESTED> {
    #[inline(always)]
    fn each(&self, out: &mut [f64], value: impl Fn(Near) -> f64) {
        let span = self.span;
        for ((out, &hi), &lo) in out.iter_mut().zip(self.hi).zip(self.lo) {
            *out = value(span.near::<NESTED>(Pos { hi, lo }));
        }
    }

    fn inside(&self) -> bool {
        all_inside(self.hi)
    }
}

/// Positions of a bare schedule.
struct BarePositions<'a> {
    hi: &'a [f64],
    lo: &'a [f64],
}

impl Local for BarePositions<'_> {
    #[inline(always)]
    fn each(&self, out: &mut [f64], value: impl Fn(Near) -> f64) {
        for ((out, &hi), &lo) in out.iter_mut().zip(self.hi).zip(self.lo) {
            *out = value(Pos { hi, lo }.near());
        }
    }

    fn inside(&self) -> bool {
        all_inside(self.hi)
    }
}

/// Steps of a training, from `first` on, that all lie in a span.
struct StepsIn {
    span: Span,
    first: f64,
    denominator: f64,
}

impl Local for StepsIn {
    #[inline(always)]
    fn each(&self, out: &mut [f64], value: impl Fn(Near) -> f64) {
        let Self { span, first, denominator } = *self;
        for (index, out) in (0_i32..).zip(out) {
            let hi = (first + f64::from(index)) / denominator;
            *out = value(span.near::<false>(Pos { hi, lo: 0.0 }));
        }
    }

    fn inside(&self) -> bool {
        true
    }
}

/// Steps of a training, from `first` on, under a bare schedule.
struct WholeSteps {
    first: f64,
    denominator: f64,
}

impl Local for WholeSteps {
    #[inline(always)]
    fn each(&self, out: &mut [f64], value: impl Fn(Near) -> f64) {
        let Self { first, denominator } = *self;
        for (index, out) in (0_i32..).zip(out) {
            let hi = (first + f64::from(index)) / denominator;
            *out = value(Pos { hi, lo: 0.0 }.near());
        }
    }

    fn inside(&self) -> bool {
        true
    }
}

/// One group's values at places in one phase, at most [`BLOCK`] of them.
fn kernel_run(kernel: &Kernel, level: Level, local: &impl Local, out: &mut [f64]) {
    // The vectorised bodies hold within [0, 1]; outside, the scalar path takes over.
    match *kernel {
        Kernel::Constant(value) => out.fill(value),
        Kernel::Lin { start, end } => {
            dispatch!(level, _simd => local.each(out, |near| kernel::lin(start, end, near)));
        }
        Kernel::Cos { start, end } if local.inside() => {
            dispatch!(level, _simd => local.each(out, |near| kernel::cos(start, end, near)));
        }
        Kernel::Exp { start, end, log_ratio } if local.inside() => {
            dispatch!(level, _simd => local.each(out, |near| {
                kernel::exp(start, end, &log_ratio, near)
            }));
        }
        Kernel::Poly { start, end, power } if local.inside() => {
            poly_run(start, end, power, level, local, out);
        }
        Kernel::InverseSqrt { start, end, from_start, from_end } => {
            dispatch!(level, _simd => local.each(out, |near| {
                kernel::inverse_sqrt(start, end, from_start, from_end, near)
            }));
        }
        Kernel::Tanh { start, end, from_start, from_end } => {
            dispatch!(level, _simd => local.each(out, |near| {
                kernel::tanh(start, end, &from_start, &from_end, near)
            }));
        }
        _ => local.each(out, |near| kernel.value(near)),
    }
}

/// A loop for each way to take a power, so that none of them branches.
fn poly_run(start: f64, end: f64, power: f64, level: Level, local: &impl Local, out: &mut [f64]) {
    match kernel::exact_power(power) {
        Some(ExactPower::One) => dispatch!(level, _simd => local.each(out, |near| {
            kernel::mixed(start, end, kernel::rounded(near))
        })),
        Some(ExactPower::Square) => dispatch!(level, _simd => local.each(out, |near| {
            kernel::mixed(start, end, kernel::square(near))
        })),
        Some(ExactPower::Cube) => dispatch!(level, _simd => local.each(out, |near| {
            kernel::mixed(start, end, kernel::cube(near))
        })),
        Some(ExactPower::Root) => dispatch!(level, _simd => local.each(out, |near| {
            kernel::mixed(start, end, kernel::rounded(near).sqrt())
        })),
        None => {
            let power = Factor::new((power, 0.0));
            dispatch!(level, _simd => local.each(out, |near| {
                kernel::mixed(start, end, kernel::power_inside(&power, near))
            }));
        }
    }
}

#[inline(always)]
fn check_position(pos: f64) -> Result<()> {
    if pos.is_finite() { Ok(()) } else { Err(not_finite(pos)) }
}

/// Refuse values that are no numbers, as a formula has none there, and sums and products that
/// overflow. Outside of [0, 1] a formula itself may overflow.
#[inline(always)]
fn check_values(values: &[f64], positions: &[f64]) -> Result<()> {
    if values.iter().fold(false, |any, value| any | !value.is_finite()) {
        return no_value(values, positions);
    }
    Ok(())
}

#[cold]
fn no_value(values: &[f64], positions: &[f64]) -> Result<()> {
    let width = values.len() / positions.len();
    for (row, pos) in values.chunks(width).zip(positions) {
        let inside = (0.0..=1.0).contains(pos);
        if row.iter().any(|value| value.is_nan() || inside && value.is_infinite()) {
            return Err(value_error!("the schedule has no finite value at pos {pos:?}"));
        }
    }
    Ok(())
}

#[cold]
fn not_finite(pos: f64) -> Error {
    value_error!("`pos` must be a finite number, got {pos:?}")
}

#[cold]
fn below_zero(pos: f64) -> Error {
    value_error!("`pos` must be at least 0 for a combined schedule, got {pos:?}")
}
