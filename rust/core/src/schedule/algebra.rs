//! Schedules made from schedules: sums, products, bounds, parts, warps and repetitions.

use std::fmt;
use std::hash::Hasher;
use std::sync::Arc;

use fearless_simd::{Level, dispatch};

use super::ends::common_groups;
use super::evaluate::CHUNK;
use super::place::{Near, Pos};
use super::{Body, Ends, MAX_DEPTH, MAX_PHASES, Part, Schedule, Shape, running_sums};
use crate::error::{Result, value_error};
use crate::math::{self, Factor, fast_two_sum, two_sum};

/// What is done with one schedule or two.
#[derive(Debug, Clone, PartialEq)]
pub enum Op {
    /// `f(pos) + g(pos)`.
    Add,
    /// `f(pos) g(pos)`.
    Multiply,
    /// `min(max(f(pos), low), high)`.
    Clip {
        /// The least value.
        low: Option<Ends>,
        /// The greatest.
        high: Option<Ends>,
    },
    /// `f(start + (end - start) pos)`.
    Part {
        /// The position that becomes 0, at least 0.
        start: f64,
        /// The position that becomes 1, at least 0.
        end: f64,
    },
    /// `f(pos^power)`.
    Warp {
        /// Above 0.
        power: f64,
    },
}

/// One or two schedules, and what is done with them.
pub(super) struct Made {
    pub(super) op: Op,
    pub(super) of: Vec<Schedule>,
    pub(super) groups: Option<usize>,
    pub(super) depth: usize,
    pub(super) size: usize,
    pub(super) customs: usize,
    /// `end - start` of a part.
    width: Factor,
}

/// Several runs of one schedule, one after the other.
pub(super) struct Repeat {
    pub(super) of: Schedule,
    pub(super) times: usize,
    pub(super) stretch: f64,
    /// Where the runs begin, and 1.
    pub(super) boundaries: Vec<f64>,
    /// What they are: a combined schedule of the runs, or of the phases of each.
    pub(super) run: Schedule,
}

impl Schedule {
    /// `self(pos) + other(pos)`.
    pub fn add(&self, other: &Self) -> Result<Self> {
        Self::made(Op::Add, vec![self.clone(), other.clone()])
    }

    /// `self(pos) other(pos)`.
    pub fn multiply(&self, other: &Self) -> Result<Self> {
        Self::made(Op::Multiply, vec![self.clone(), other.clone()])
    }

    /// The schedule with its values held between bounds.
    pub fn clip(&self, low: Option<Ends>, high: Option<Ends>) -> Result<Self> {
        for (name, bound) in [("low", &low), ("high", &high)] {
            if let Some(bound) = bound {
                bound.validate(name)?;
            }
        }
        match (&low, &high) {
            (None, None) => return Err(value_error!("`low` or `high` must be given, got neither")),
            (Some(low), Some(high)) => {
                let groups = low.groups().or(high.groups()).unwrap_or(1);
                let same = common_groups([
                    ("low".to_owned(), low.groups()),
                    ("high".to_owned(), high.groups()),
                ]);
                same?;
                if let Some(group) = (0..groups).find(|&group| low.get(group) > high.get(group)) {
                    return Err(value_error!(
                        "`low` must not be above `high`, got {:?} and {:?}",
                        low.get(group),
                        high.get(group)
                    ));
                }
            }
            _ => {}
        }
        Self::made(Op::Clip { low, high }, vec![self.clone()])
    }

    /// The part between two positions, stretched over the whole; backwards if `end < start`.
    pub fn part(&self, start: f64, end: f64) -> Result<Self> {
        for (name, pos) in [("start", start), ("end", end)] {
            if !(0.0..=1e9).contains(&pos) {
                return Err(value_error!("`{name}` must be a position of at least 0, got {pos:?}"));
            }
        }
        Self::made(Op::Part { start, end }, vec![self.clone()])
    }

    /// The schedule backwards, `self(1 - pos)`.
    pub fn reverse(&self) -> Result<Self> {
        self.part(1.0, 0.0)
    }

    /// `self(pos^power)`.
    pub fn warp(&self, power: f64) -> Result<Self> {
        if !(power.is_finite() && power > 0.0) {
            return Err(value_error!("`power` must be a finite number above 0, got {power:?}"));
        }
        Self::made(Op::Warp { power }, vec![self.clone()])
    }

    /// `times` runs of the schedule, each `stretch` times as long as the one before.
    pub fn repeat(&self, times: usize, stretch: f64) -> Result<Self> {
        if times == 0 || times > MAX_PHASES {
            return Err(value_error!("`times` must be between 1 and {MAX_PHASES}, got {times}"));
        }
        let pcts = growing_shares(times, stretch, "stretch")?;
        let (mut boundaries, _) = running_sums(&pcts);
        boundaries[times] = 1.0;
        let run = match self.as_combined() {
            // One level of phases less to walk.
            Some((inner, parts)) if inner.len().saturating_mul(times) <= MAX_PHASES => {
                let (_, whole) = running_sums(inner);
                let shares =
                    pcts.iter().flat_map(|pct| inner.iter().map(move |one| pct * (one / whole)));
                let parts = parts.iter().cycle().take(inner.len() * times).cloned();
                Self::combine(shares.collect(), parts.collect())?
            }
            _ => Self::combine(pcts, vec![Part::Schedule(self.clone()); times])?,
        };
        let of = self.clone();
        Ok(Self(Arc::new(Body::Repeat(Repeat { of, times, stretch, boundaries, run }))))
    }

    /// `self` for the first `share` of training, then `next`.
    pub fn then(&self, next: &Self, share: f64) -> Result<Self> {
        if !(0.0..=1.0).contains(&share) {
            return Err(value_error!("`share` must be between 0 and 1, got {share:?}"));
        }
        let parts = vec![Part::Schedule(self.clone()), Part::Schedule(next.clone())];
        Self::combine(vec![share, 1.0 - share], parts)
    }

    /// The operation and the schedules of one that was made by it.
    #[must_use]
    pub fn as_made(&self) -> Option<(&Op, &[Schedule])> {
        match &*self.0 {
            Body::Made(made) => Some((&made.op, &made.of)),
            _ => None,
        }
    }

    /// What is repeated, how often, and how much longer every time.
    #[must_use]
    pub fn as_repeat(&self) -> Option<(&Schedule, usize, f64)> {
        match &*self.0 {
            Body::Repeat(repeat) => Some((&repeat.of, repeat.times, repeat.stretch)),
            _ => None,
        }
    }

    /// The number that a constant schedule without groups is, or the numbers.
    fn as_constant(&self) -> Option<&Ends> {
        match self.as_simple() {
            Some((Shape::No, start, end)) if start == end => Some(start),
            _ => None,
        }
    }

    fn made(op: Op, of: Vec<Self>) -> Result<Self> {
        let depth = 1 + of.iter().map(Self::depth).max().unwrap_or(0);
        if depth > MAX_DEPTH {
            return Err(value_error!(
                "schedules must not nest more than {MAX_DEPTH} deep, got {depth} levels"
            ));
        }
        let size = of.iter().map(Self::size).fold(1, usize::saturating_add);
        if size > MAX_PHASES {
            return Err(value_error!(
                "a schedule must not hold more than {MAX_PHASES} phases in all, got {size}"
            ));
        }
        let names = ["the schedule", "the other schedule"];
        let mut counts: Vec<_> =
            names.iter().zip(&of).map(|(name, one)| ((*name).to_owned(), one.groups())).collect();
        if let Op::Clip { low, high } = &op {
            for (name, bound) in [("low", low), ("high", high)] {
                counts.push((name.to_owned(), bound.as_ref().and_then(Ends::groups)));
            }
        }
        let groups = common_groups(counts)?;
        let customs = of.iter().map(Self::custom_count).sum();
        let width = match op {
            Op::Part { start, end } => Factor::new(two_sum(end, -start)),
            Op::Warp { power } => Factor::new((power, 0.0)),
            _ => Factor::new((0.0, 0.0)),
        };
        Ok(Self(Arc::new(Body::Made(Made { op, of, groups, depth, size, customs, width }))))
    }
}

/// Shares of `count` phases, each `growth` times as long as the one before, that fill a training.
pub(super) fn growing_shares(count: usize, growth: f64, name: &str) -> Result<Vec<f64>> {
    if count > MAX_PHASES {
        return Err(value_error!(
            "a schedule must not hold more than {MAX_PHASES} phases in all, got {count}"
        ));
    }
    let lengths: Vec<f64> =
        std::iter::successors(Some(1.0), |length| Some(length * growth)).take(count).collect();
    let mut sum = math::ExactSum::default();
    for length in &lengths {
        sum.add(*length);
    }
    let total = sum.value();
    if !(growth.is_finite() && growth > 0.0 && total.is_finite()) {
        return Err(value_error!(
            "`{name}` must be a finite number above 0 that {count} lengths can grow by, got \
             {growth:?}"
        ));
    }
    Ok(lengths.into_iter().map(|length| length / total).collect())
}

impl Made {
    pub(super) fn value<const NESTED: bool>(&self, pos: Pos, out: &mut [f64]) -> Result<()> {
        let first = &self.of[0];
        match &self.op {
            Op::Add | Op::Multiply => {
                first.value::<NESTED>(pos, out)?;
                let mut one = [0.0];
                let mut many = Vec::new();
                let other = scratch(&mut one, &mut many, out.len());
                self.of[1].value::<NESTED>(pos, other)?;
                self.join(out, other);
                check_sum(out, &[pos.hi])
            }
            Op::Clip { .. } => {
                first.value::<NESTED>(pos, out)?;
                self.bound(out, out.len());
                Ok(())
            }
            Op::Part { start, end } => {
                first.value::<true>(part_position(*start, *end, &self.width, pos.near()), out)
            }
            Op::Warp { .. } => {
                check_warp(pos.hi)?;
                first.value::<true>(warped_position(&self.width, pos.near()), out)
            }
        }
    }

    pub(super) fn chunk<const NESTED: bool>(
        &self,
        level: Level,
        hi: &[f64],
        lo: &[f64],
        out: &mut [f64],
    ) -> Result<()> {
        let first = &self.of[0];
        let count = hi.len();
        match &self.op {
            Op::Add | Op::Multiply => {
                first.chunk::<NESTED>(level, hi, lo, out)?;
                let mut one = [0.0; CHUNK];
                let mut many = Vec::new();
                let other = scratch(&mut one, &mut many, out.len());
                self.of[1].chunk::<NESTED>(level, hi, lo, other)?;
                dispatch!(level, _simd => self.join(out, other));
                check_sum(out, hi)
            }
            Op::Clip { .. } => {
                first.chunk::<NESTED>(level, hi, lo, out)?;
                self.bound(out, out.len() / count.max(1));
                Ok(())
            }
            Op::Part { start, end } => {
                let (start, end) = (*start, *end);
                let mut moved = [[0.0; CHUNK]; 2];
                dispatch!(level, _simd => each_moved(&mut moved, hi, lo, |near| {
                    part_position(start, end, &self.width, near)
                }));
                first.chunk::<true>(level, &moved[0][..count], &moved[1][..count], out)
            }
            Op::Warp { .. } => {
                check_warp(hi.iter().copied().fold(f64::INFINITY, f64::min))?;
                let mut moved = [[0.0; CHUNK]; 2];
                dispatch!(level, _simd => each_moved(&mut moved, hi, lo, |near| {
                    warped_position(&self.width, near)
                }));
                first.chunk::<true>(level, &moved[0][..count], &moved[1][..count], out)
            }
        }
    }

    /// Add or multiply the values of the other schedule into those of the first.
    #[inline(always)]
    fn join(&self, out: &mut [f64], other: &[f64]) {
        if self.op == Op::Add {
            for (a, b) in out.iter_mut().zip(other) {
                *a += b;
            }
        } else {
            for (a, b) in out.iter_mut().zip(other) {
                *a *= b;
            }
        }
    }

    /// Hold values, `width` a position, between the bounds.
    fn bound(&self, out: &mut [f64], width: usize) {
        let Op::Clip { low, high } = &self.op else { return };
        let low = low.as_ref().unwrap_or(&Ends::One(f64::NEG_INFINITY));
        let high = high.as_ref().unwrap_or(&Ends::One(f64::INFINITY));
        for row in out.chunks_exact_mut(width) {
            for (group, value) in row.iter_mut().enumerate() {
                *value = value.clamp(low.get(group), high.get(group));
            }
        }
    }

    pub(super) fn same_structure(&self, other: &Self) -> bool {
        self.op == other.op && self.of.iter().zip(&other.of).all(|(a, b)| a.same_structure(b))
    }

    pub(super) fn hash_structure(&self, state: &mut impl Hasher) {
        let number = |state: &mut dyn Hasher, value: f64| state.write_u64((value + 0.0).to_bits());
        match &self.op {
            Op::Add => state.write_u8(9),
            Op::Multiply => state.write_u8(10),
            Op::Clip { low, high } => {
                for (tag, bound) in [(11, low), (12, high)] {
                    state.write_u8(tag);
                    if let Some(bound) = bound {
                        bound.hash_into(state);
                    }
                }
            }
            Op::Part { start, end } => {
                state.write_u8(13);
                number(state, *start);
                number(state, *end);
            }
            Op::Warp { power } => {
                state.write_u8(14);
                number(state, *power);
            }
        }
        for one in &self.of {
            one.hash_structure(state);
        }
    }
}

impl Repeat {
    pub(super) fn same_structure(&self, other: &Self) -> bool {
        self.times == other.times
            && self.stretch == other.stretch
            && self.of.same_structure(&other.of)
    }

    pub(super) fn hash_structure(&self, state: &mut impl Hasher) {
        state.write_u8(15);
        state.write_usize(self.times);
        state.write_u64(self.stretch.to_bits());
        self.of.hash_structure(state);
    }
}

/// Refuse a sum or product that overflows: what follows could hide it.
fn check_sum(values: &[f64], positions: &[f64]) -> Result<()> {
    if values.iter().fold(true, |all, value| all & value.is_finite()) {
        return Ok(());
    }
    let width = values.len() / positions.len();
    let index = values.iter().position(|value| !value.is_finite()).unwrap_or(0) / width;
    Err(value_error!("the schedule has no finite value at pos {:?}", positions[index]))
}

/// Room for `size` values, on the stack where they fit.
fn scratch<'a, const N: usize>(
    few: &'a mut [f64; N],
    many: &'a mut Vec<f64>,
    size: usize,
) -> &'a mut [f64] {
    if size <= N {
        return &mut few[..size];
    }
    many.resize(size, 0.0);
    many
}

#[inline(always)]
fn each_moved(
    moved: &mut [[f64; CHUNK]; 2],
    hi: &[f64],
    lo: &[f64],
    position: impl Fn(Near) -> Pos,
) {
    let [out_hi, out_lo] = moved;
    for (((out_hi, out_lo), &hi), &lo) in out_hi.iter_mut().zip(out_lo).zip(hi).zip(lo) {
        let pos = position(Pos { hi, lo }.near());
        (*out_hi, *out_lo) = (pos.hi, pos.lo);
    }
}

/// `start + (end - start) pos`, from the nearer end, so that both ends are met exactly.
#[inline(always)]
fn part_position(start: f64, end: f64, width: &Factor, near: Near) -> Pos {
    let (moved, moved_lo) = width.times(near.r, near.lo);
    let (base, moved, moved_lo) =
        if near.from_end { (end, -moved, -moved_lo) } else { (start, moved, moved_lo) };
    let (hi, lo) = two_sum(base, moved);
    let (hi, lo) = fast_two_sum(hi, lo + moved_lo);
    Pos { hi, lo }
}

/// `pos^power`, in two doubles near 1, so that the distance from the end keeps its digits.
#[inline(always)]
fn warped_position(power: &Factor, near: Near) -> Pos {
    let (p, p_lo) = near.start_pair();
    let (log, log_lo) = math::ln(p, p_lo);
    let (y, y_lo) = power.times(log, log_lo);
    let far = math::scaled_exp(1.0, y.clamp(-1400.0, 1400.0), y_lo);
    let (rest, rest_lo) = math::exp_less_one(y, y_lo);
    let (close, close_lo) = two_sum(1.0, rest);
    let (close, close_lo) = fast_two_sum(close, close_lo + rest_lo);
    let (hi, lo) = if y.abs() <= math::SMALL { (close, close_lo) } else { (far, 0.0) };
    if p > 0.0 { Pos { hi, lo } } else { Pos { hi: 0.0, lo: 0.0 } }
}

fn check_warp(pos: f64) -> Result<()> {
    if pos < 0.0 {
        return Err(value_error!("`pos` must be at least 0 for a warped schedule, got {pos:?}"));
    }
    Ok(())
}

impl fmt::Display for Made {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let first = &self.of[0];
        match &self.op {
            Op::Add | Op::Multiply => {
                let sign = if self.op == Op::Add { '+' } else { '*' };
                match self.of[1].as_constant() {
                    Some(constant) => write!(f, "({first} {sign} {constant})"),
                    None => write!(f, "({first} {sign} {})", self.of[1]),
                }
            }
            Op::Clip { low, high } => {
                write!(f, "{first}.clip(")?;
                match low {
                    Some(low) => write!(f, "{low}")?,
                    None => write!(f, "None")?,
                }
                match high {
                    Some(high) => write!(f, ", {high})"),
                    None => write!(f, ")"),
                }
            }
            Op::Part { start, end } if *start == 1.0 && *end == 0.0 => {
                write!(f, "{first}.reverse()")
            }
            Op::Part { start, end } => write!(f, "{first}.part({start:?}, {end:?})"),
            Op::Warp { power } => write!(f, "{first}.warp({power:?})"),
        }
    }
}

impl fmt::Display for Repeat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.repeat({}", self.of, self.times)?;
        if self.stretch != 1.0 {
            write!(f, ", {:?}", self.stretch)?;
        }
        write!(f, ")")
    }
}
