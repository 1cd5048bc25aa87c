//! Schedules as values: a hyper-parameter as a function of `pos`, the share of training done.

mod algebra;
mod ends;
mod evaluate;
mod json;
mod kernel;
mod place;
pub mod preset;

use std::any::Any;
use std::collections::HashMap;
use std::fmt;
use std::hash::Hasher;
use std::sync::Arc;

pub use algebra::Op;
use algebra::{Made, Repeat};
pub use ends::Ends;
use ends::common_groups;
use kernel::Kernel;
use place::Span;

use crate::error::{Error, Result, value_error};
use crate::math::{self, Factor};

/// The most phases inside phases (rule 9).
pub const MAX_DEPTH: usize = 64;

/// The most phases in all, those of inner schedules counted wherever they stand: one schedule can
/// be a phase many times over, and walking it takes as long as it counts (rule 9).
pub const MAX_PHASES: usize = 1_000_000;

/// How far the sum of `pcts` may be off 1 (rule 2).
const SUM_TOLERANCE: f64 = 1e-6;

/// The form of a simple schedule between its two ends.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Shape {
    /// `q start + p end`.
    Lin,
    /// `sin^2(pi q / 2) start + sin^2(pi p / 2) end`.
    Cos,
    /// `start`.
    No,
    /// `start (end / start)^p`.
    Exp,
    /// `start + (end - start) p^power`.
    Poly {
        /// Above 0.
        power: f64,
    },
    /// `1 / sqrt(q / start^2 + p / end^2)`.
    InverseSqrt,
    /// `start + (end - start) (tanh(lower + (upper - lower) p) - tanh(lower)) /
    /// (tanh(upper) - tanh(lower))`.
    Tanh {
        /// Where on tanh the schedule begins.
        lower: f64,
        /// Where it ends, above `lower`.
        upper: f64,
    },
}

/// A function from outside this crate that stands for a phase (rule 8).
pub trait Custom: Send + Sync {
    /// Write the value at the local position `pos` for each group into `out`.
    fn at(&self, pos: f64, out: &mut [f64]) -> Result<()>;
    /// The number of parameter groups it is known to give values for.
    fn groups(&self) -> Option<usize>;
    /// How it prints inside a combined schedule.
    fn describe(&self) -> String;
    /// The concrete object, for whoever made it.
    fn as_any(&self) -> &dyn Any;
}

/// One phase of a combined schedule.
#[derive(Clone)]
pub enum Part {
    /// A schedule of this crate.
    Schedule(Schedule),
    /// A function from outside.
    Custom(Arc<dyn Custom>),
}

/// A hyper-parameter schedule: immutable, cheap to clone, a function of the position alone.
#[derive(Clone)]
pub struct Schedule(Arc<Body>);

enum Body {
    Simple(Simple),
    Combined(Combined),
    Made(Made),
    Repeat(Repeat),
}

struct Simple {
    shape: Shape,
    start: Ends,
    end: Ends,
    groups: Option<usize>,
    kernels: Kernels,
}

/// One kernel for all groups, or one a group.
enum Kernels {
    One(Kernel),
    Many(Vec<Kernel>),
}

struct Combined {
    pcts: Vec<f64>,
    boundaries: Vec<f64>,
    parts: Vec<Part>,
    stretches: Vec<Stretch>,
    groups: Option<usize>,
    depth: usize,
    /// Phases in all, and those of them that are custom.
    size: usize,
    customs: usize,
}

/// A schedule or function inside of another.
enum Inner<'a> {
    Schedule(&'a Schedule),
    Custom(&'a Arc<dyn Custom>),
}

impl Inner<'_> {
    fn address(&self) -> *const () {
        match self {
            Self::Schedule(schedule) => Arc::as_ptr(&schedule.0).cast(),
            Self::Custom(custom) => Arc::as_ptr(custom).cast(),
        }
    }

    fn references(&self) -> usize {
        match self {
            Self::Schedule(schedule) => Arc::strong_count(&schedule.0),
            Self::Custom(custom) => Arc::strong_count(custom),
        }
    }
}

/// A phase that positions can lie in.
struct Stretch {
    span: Span,
    /// Its part's index.
    index: usize,
    /// Its part's kernel, if there are no groups and the part is a simple schedule: one look-up
    /// less.
    kernel: Option<Kernel>,
}

impl Schedule {
    /// A simple schedule from `start` to `end`.
    pub fn simple(shape: Shape, start: Ends, end: Ends) -> Result<Self> {
        start.validate("start")?;
        end.validate("end")?;
        let groups = common_groups([
            ("start".to_owned(), start.groups()),
            ("end".to_owned(), end.groups()),
        ])?;
        if let Shape::Poly { power } = shape
            && !(power.is_finite() && power > 0.0)
        {
            return Err(value_error!("`power` must be a finite number above 0, got {power:?}"));
        }
        if let Shape::Tanh { lower, upper } = shape {
            kernel::check_tanh(lower, upper)?;
        }
        let kernel = |group| kernel(shape, start.get(group), end.get(group));
        let kernels = match groups {
            None => Kernels::One(kernel(0)?),
            Some(n) => Kernels::Many((0..n).map(kernel).collect::<Result<_>>()?),
        };
        Ok(Self(Arc::new(Body::Simple(Simple { shape, start, end, groups, kernels }))))
    }

    /// `parts` one after the other, each for its share `pcts` of training (rule 2).
    pub fn combine(pcts: Vec<f64>, parts: Vec<Part>) -> Result<Self> {
        if pcts.is_empty() {
            return Err(value_error!("`pcts` must hold at least one share, got an empty sequence"));
        }
        if pcts.len() != parts.len() {
            return Err(value_error!(
                "`pcts` and `scheds` must have the same length, got {} shares and {} schedules",
                pcts.len(),
                parts.len()
            ));
        }
        if let Some(index) = pcts.iter().position(|pct| !(pct.is_finite() && *pct >= 0.0)) {
            return Err(value_error!(
                "`pcts` must hold finite numbers of at least 0, got {:?} at index {index}",
                pcts[index]
            ));
        }
        let (mut boundaries, total) = running_sums(&pcts);
        let off = (total - 1.0).abs();
        // NaN if the shares overflow.
        if off.is_nan() || off > SUM_TOLERANCE {
            return Err(value_error!("`pcts` must sum to 1, got {total:?} from {pcts:?}"));
        }
        let depth = 1 + parts.iter().map(Part::depth).max().unwrap_or(0);
        if depth > MAX_DEPTH {
            return Err(value_error!(
                "`scheds` must not nest more than {MAX_DEPTH} deep, got {depth} levels"
            ));
        }
        let size = parts.iter().map(Part::size).fold(parts.len(), usize::saturating_add);
        if size > MAX_PHASES {
            return Err(value_error!(
                "`scheds` must not hold more than {MAX_PHASES} phases in all, got {size}"
            ));
        }
        let groups = common_groups(
            parts.iter().enumerate().map(|(i, part)| (format!("scheds[{i}]"), part.groups())),
        )?;
        for boundary in &mut boundaries {
            *boundary /= total;
        }
        boundaries[pcts.len()] = 1.0;
        // No position lies in a phase this narrow: all count as the boundary above it.
        let stretches = (0..parts.len())
            .filter(|&i| boundaries[i + 1] - boundaries[i] > 1e-200)
            .map(|index| Stretch {
                span: Span::new(boundaries[index], boundaries[index + 1]),
                index,
                kernel: if groups.is_none() { parts[index].kernel() } else { None },
            })
            .collect();
        let customs = parts.iter().map(Part::customs).sum();
        Ok(Self(Arc::new(Body::Combined(Combined {
            pcts,
            boundaries,
            parts,
            stretches,
            groups,
            depth,
            size,
            customs,
        }))))
    }

    /// Cosine from `start` to `middle` over `pct`, then from `middle` to `end`.
    pub fn combined_cos(pct: f64, start: Ends, middle: Ends, end: Ends) -> Result<Self> {
        if !(0.0..=1.0).contains(&pct) {
            return Err(value_error!("`pct` must be between 0 and 1, got {pct:?}"));
        }
        start.validate("start")?;
        middle.validate("middle")?;
        end.validate("end")?;
        common_groups([
            ("start".to_owned(), start.groups()),
            ("middle".to_owned(), middle.groups()),
            ("end".to_owned(), end.groups()),
        ])?;
        let rise = Self::simple(Shape::Cos, start, middle.clone())?;
        let fall = Self::simple(Shape::Cos, middle, end)?;
        Self::combine(vec![pct, 1.0 - pct], vec![Part::Schedule(rise), Part::Schedule(fall)])
    }

    /// The number of parameter groups it gives values for; `None` for a single value.
    #[must_use]
    pub fn groups(&self) -> Option<usize> {
        match &*self.0 {
            Body::Simple(simple) => simple.groups,
            Body::Combined(combined) => combined.groups,
            Body::Made(made) => made.groups,
            Body::Repeat(repeat) => repeat.run.groups(),
        }
    }

    /// The shape and ends of a simple schedule.
    #[must_use]
    pub fn as_simple(&self) -> Option<(Shape, &Ends, &Ends)> {
        match &*self.0 {
            Body::Simple(simple) => Some((simple.shape, &simple.start, &simple.end)),
            _ => None,
        }
    }

    /// The shares and phases of a combined schedule.
    #[must_use]
    pub fn as_combined(&self) -> Option<(&[f64], &[Part])> {
        match &*self.0 {
            Body::Combined(combined) => Some((&combined.pcts, &combined.parts)),
            _ => None,
        }
    }

    /// Where the phases begin and end: `[0, ..., 1]`, one more than there are phases.
    #[must_use]
    pub fn boundaries(&self) -> &[f64] {
        match &*self.0 {
            Body::Combined(combined) => &combined.boundaries,
            Body::Repeat(repeat) => &repeat.boundaries,
            Body::Simple(_) | Body::Made(_) => &[0.0, 1.0],
        }
    }

    /// Every custom function in it, from left to right, those of inner schedules included.
    #[must_use]
    pub fn customs(&self) -> Vec<&Arc<dyn Custom>> {
        let mut found = Vec::new();
        self.collect_customs(&mut found);
        found
    }

    fn collect_customs<'a>(&'a self, found: &mut Vec<&'a Arc<dyn Custom>>) {
        match &*self.0 {
            Body::Simple(_) => {}
            _ if self.custom_count() == 0 => {}
            Body::Combined(combined) => {
                for part in &combined.parts {
                    match part {
                        Part::Schedule(schedule) => schedule.collect_customs(found),
                        Part::Custom(custom) => found.push(custom),
                    }
                }
            }
            Body::Made(made) => {
                for one in &made.of {
                    one.collect_customs(found);
                }
            }
            Body::Repeat(repeat) => repeat.of.collect_customs(found),
        }
    }

    /// The custom functions that this schedule alone holds: every reference to them, and to the
    /// inner schedules on the way, is inside of it. What a garbage collector may count as owned.
    pub fn for_each_owned_custom<E>(
        &self,
        visit: &mut impl FnMut(&dyn Custom) -> std::result::Result<(), E>,
    ) -> std::result::Result<(), E> {
        if Arc::strong_count(&self.0) > 1 || self.custom_count() == 0 {
            return Ok(());
        }
        self.visit_owned(&mut HashMap::new(), visit)
    }

    /// The schedules and functions directly in it, each as often as it is held.
    fn for_each_part(&self, mut visit: impl FnMut(Inner<'_>)) {
        match &*self.0 {
            Body::Simple(_) => {}
            Body::Combined(combined) => {
                for part in &combined.parts {
                    match part {
                        Part::Schedule(schedule) => visit(Inner::Schedule(schedule)),
                        Part::Custom(custom) => visit(Inner::Custom(custom)),
                    }
                }
            }
            Body::Made(made) => made.of.iter().for_each(|one| visit(Inner::Schedule(one))),
            Body::Repeat(repeat) => {
                visit(Inner::Schedule(&repeat.of));
                visit(Inner::Schedule(&repeat.run));
            }
        }
    }

    /// Visit what is held by nothing but parts that are visited: with the last reference that such
    /// a part has to it, all are counted.
    fn visit_owned<E>(
        &self,
        inside: &mut HashMap<*const (), usize>,
        visit: &mut impl FnMut(&dyn Custom) -> std::result::Result<(), E>,
    ) -> std::result::Result<(), E> {
        let mut result = Ok(());
        self.for_each_part(|part| {
            let count = inside.entry(part.address()).or_insert(0);
            *count += 1;
            if result.is_ok() && *count == part.references() {
                result = match part {
                    Inner::Schedule(schedule) => schedule.visit_owned(inside, visit),
                    Inner::Custom(custom) => visit(&**custom),
                };
            }
        });
        result
    }

    /// Whether a custom function takes part.
    #[must_use]
    pub fn has_customs(&self) -> bool {
        self.custom_count() > 0
    }

    /// How many custom functions take part, each counted wherever it stands.
    fn custom_count(&self) -> usize {
        match &*self.0 {
            Body::Simple(_) => 0,
            Body::Combined(combined) => combined.customs,
            Body::Made(made) => made.customs,
            Body::Repeat(repeat) => repeat.run.custom_count(),
        }
    }

    /// Phases in all.
    fn size(&self) -> usize {
        match &*self.0 {
            Body::Simple(_) => 0,
            Body::Combined(combined) => combined.size,
            Body::Made(made) => made.size,
            Body::Repeat(repeat) => repeat.run.size(),
        }
    }

    /// Structural equality on float64, any two custom functions counting as equal: their owner
    /// compares [`Schedule::customs`].
    #[must_use]
    pub fn same_structure(&self, other: &Self) -> bool {
        if Arc::ptr_eq(&self.0, &other.0) {
            return true;
        }
        match (&*self.0, &*other.0) {
            (Body::Simple(a), Body::Simple(b)) => {
                a.shape == b.shape && a.start == b.start && a.end == b.end
            }
            (Body::Combined(a), Body::Combined(b)) => {
                a.pcts == b.pcts
                    && a.parts.len() == b.parts.len()
                    && a.parts.iter().zip(&b.parts).all(|pair| match pair {
                        (Part::Schedule(a), Part::Schedule(b)) => a.same_structure(b),
                        (Part::Custom(_), Part::Custom(_)) => true,
                        _ => false,
                    })
            }
            (Body::Made(a), Body::Made(b)) => a.same_structure(b),
            (Body::Repeat(a), Body::Repeat(b)) => a.same_structure(b),
            _ => false,
        }
    }

    /// Feed the structure to a hasher; equal structures feed the same.
    pub fn hash_structure(&self, state: &mut impl Hasher) {
        match &*self.0 {
            Body::Simple(simple) => {
                let (tag, [a, b]) = match simple.shape {
                    Shape::Lin => (0, [0.0; 2]),
                    Shape::Cos => (1, [0.0; 2]),
                    Shape::No => (2, [0.0; 2]),
                    Shape::Exp => (3, [0.0; 2]),
                    Shape::Poly { power } => (4, [power, 0.0]),
                    Shape::InverseSqrt => (7, [0.0; 2]),
                    // Adding 0.0 turns -0.0 into 0.0.
                    Shape::Tanh { lower, upper } => (8, [lower + 0.0, upper + 0.0]),
                };
                state.write_u8(tag);
                state.write_u64(f64::to_bits(a));
                state.write_u64(f64::to_bits(b));
                simple.start.hash_into(state);
                simple.end.hash_into(state);
            }
            Body::Combined(combined) => {
                state.write_u8(5);
                state.write_usize(combined.pcts.len());
                for (pct, part) in combined.pcts.iter().zip(&combined.parts) {
                    state.write_u64((pct + 0.0).to_bits());
                    match part {
                        Part::Schedule(schedule) => schedule.hash_structure(state),
                        Part::Custom(_) => state.write_u8(6),
                    }
                }
            }
            Body::Made(made) => made.hash_structure(state),
            Body::Repeat(repeat) => repeat.hash_structure(state),
        }
    }

    fn depth(&self) -> usize {
        match &*self.0 {
            Body::Simple(_) => 0,
            Body::Combined(combined) => combined.depth,
            Body::Made(made) => made.depth,
            Body::Repeat(repeat) => repeat.run.depth(),
        }
    }
}

/// One schedule equals another when their structures do; custom functions are equal when they
/// are the same object.
impl PartialEq for Schedule {
    fn eq(&self, other: &Self) -> bool {
        self.same_structure(other)
            && self.customs().iter().zip(other.customs()).all(|(a, b)| Arc::ptr_eq(a, b))
    }
}

impl Part {
    fn depth(&self) -> usize {
        match self {
            Self::Schedule(schedule) => schedule.depth(),
            Self::Custom(_) => 0,
        }
    }

    fn size(&self) -> usize {
        match self {
            Self::Schedule(schedule) => schedule.size(),
            Self::Custom(_) => 0,
        }
    }

    fn groups(&self) -> Option<usize> {
        match self {
            Self::Schedule(schedule) => schedule.groups(),
            Self::Custom(custom) => custom.groups(),
        }
    }

    fn kernel(&self) -> Option<Kernel> {
        match self {
            Self::Schedule(schedule) => match &*schedule.0 {
                Body::Simple(Simple { kernels: Kernels::One(kernel), .. }) => Some(*kernel),
                _ => None,
            },
            Self::Custom(_) => None,
        }
    }

    fn customs(&self) -> usize {
        match self {
            Self::Schedule(schedule) => schedule.custom_count(),
            Self::Custom(_) => 1,
        }
    }
}

/// The running sums of shares, each rounded once, from 0 to the last; and that.
fn running_sums(pcts: &[f64]) -> (Vec<f64>, f64) {
    let mut sum = math::ExactSum::default();
    let mut sums = vec![0.0];
    for &pct in pcts {
        sum.add(pct);
        sums.push(sum.value());
    }
    (sums, sum.value())
}

/// Prepare one group for evaluation.
fn kernel(shape: Shape, start: f64, end: f64) -> Result<Kernel> {
    let one_sign = match shape {
        Shape::Exp => Some("an exponential"),
        Shape::InverseSqrt => Some("an inverse square root"),
        _ => None,
    };
    if let Some(kind) = one_sign
        && (start == 0.0 || end == 0.0 || (start > 0.0) != (end > 0.0))
    {
        return Err(value_error!(
            "`start` and `end` of {kind} schedule must be both above 0 or both below 0, \
             got {start:?} and {end:?}"
        ));
    }
    if start == end {
        return Ok(Kernel::Constant(start));
    }
    Ok(match shape {
        Shape::No => Kernel::Constant(start),
        Shape::Lin => Kernel::Lin { start, end },
        Shape::Cos => Kernel::Cos { start, end },
        Shape::Poly { power } => Kernel::Poly { start, end, power },
        Shape::Exp => {
            let (from, from_lo) = math::ln(start.abs(), 0.0);
            let (to, to_lo) = math::ln(end.abs(), 0.0);
            let (hi, lo) = math::two_sum(to, -from);
            let log_ratio = Factor::new(math::fast_two_sum(hi, lo + (to_lo - from_lo)));
            Kernel::Exp { start, end, log_ratio }
        }
        Shape::InverseSqrt => kernel::inverse_sqrt_between(start, end)?,
        Shape::Tanh { lower, upper } => kernel::tanh_between(start, end, lower, upper),
    })
}

impl fmt::Display for Schedule {
    /// The call that makes it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.0 {
            Body::Simple(Simple { shape, start, end, .. }) => match shape {
                Shape::Lin => write!(f, "SchedLin({start}, {end})"),
                Shape::Cos => write!(f, "SchedCos({start}, {end})"),
                Shape::No => write!(f, "SchedNo({start}, {end})"),
                Shape::Exp => write!(f, "SchedExp({start}, {end})"),
                Shape::Poly { power } => write!(f, "SchedPoly({start}, {end}, {power:?})"),
                Shape::InverseSqrt => write!(f, "SchedInverseSqrt({start}, {end})"),
                Shape::Tanh { lower, upper } => {
                    write!(f, "SchedTanh({start}, {end}, {lower:?}, {upper:?})")
                }
            },
            Body::Made(made) => write!(f, "{made}"),
            Body::Repeat(repeat) => write!(f, "{repeat}"),
            Body::Combined(Combined { pcts, parts, .. }) => {
                write!(f, "combine_scheds({pcts:?}, [")?;
                for (i, part) in parts.iter().enumerate() {
                    let separator = if i == 0 { "" } else { ", " };
                    match part {
                        Part::Schedule(schedule) => write!(f, "{separator}{schedule}")?,
                        Part::Custom(custom) => write!(f, "{separator}{}", custom.describe())?,
                    }
                }
                write!(f, "])")
            }
        }
    }
}

impl fmt::Debug for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What asks a schedule holding a function for a form only data can take.
fn holds_a_function(what: &str, path: &str) -> Error {
    Error::Type(format!("{what} needs a schedule without functions, but {path} is one"))
}
