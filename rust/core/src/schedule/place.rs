//! Where a position lies: in which phase, and how far from the nearer end of it (rules 2 and 3).

use crate::math::{Factor, fast_two_sum, two_sum};

/// A position off a boundary by at most this counts as the boundary (rule 2).
pub(crate) const SNAP: f64 = 1e-12;

/// A position in two doubles, as the share of a schedule that is done.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pos {
    pub(crate) hi: f64,
    pub(crate) lo: f64,
}

/// The same, as the distance `r + lo` from the nearer end: exact where it matters most.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Near {
    pub(crate) r: f64,
    pub(crate) lo: f64,
    pub(crate) from_end: bool,
}

impl Pos {
    /// The pair `(pos, 1 - pos)` of a bare schedule; `1 - pos` is exact for `pos` in `[1/2, 2]`.
    #[inline(always)]
    pub(crate) fn near(self) -> Near {
        if self.hi > 0.5 {
            let (r, lo) = two_sum(1.0 - self.hi, -self.lo);
            Near { r, lo, from_end: true }
        } else {
            Near { r: self.hi, lo: self.lo, from_end: false }
        }
    }
}

impl Near {
    /// The position counted from the start, in two doubles.
    #[inline(always)]
    pub(crate) fn start_pair(self) -> (f64, f64) {
        if self.from_end {
            let (p, lo) = two_sum(1.0, -self.r);
            fast_two_sum(p, lo - self.lo)
        } else {
            (self.r, self.lo)
        }
    }
}

/// The stretch of positions one phase covers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Span {
    /// The phase's boundaries.
    start: f64,
    end: f64,
    /// Positions below count as this: the start of the phase.
    floor: f64,
    /// The first position that belongs to the phase.
    pub(crate) threshold: f64,
    /// `1 / (end - start)`.
    inverse: Factor,
    /// Positions this close above `start` count as `start`, which may be rounded; 0 is not.
    snap_start: f64,
    /// Positions this close below `end` count as `end`; only the last phase has an end that
    /// starts no other phase.
    snap_end: f64,
}

impl Span {
    pub(crate) fn new(start: f64, end: f64) -> Self {
        Self {
            start,
            end,
            floor: start,
            threshold: if start == 0.0 { 0.0 } else { start - SNAP },
            snap_start: if start == 0.0 { -1.0 } else { SNAP },
            inverse: Factor::reciprocal(two_sum(end, -start)),
            snap_end: if end == 1.0 { SNAP } else { 0.0 },
        }
    }

    /// The local position of `pos`, `(pos - start) / (end - start)`, from the nearer end.
    ///
    /// Without `NESTED`, `pos` is a plain float64 and `pos.lo` is 0. The distance of a `NESTED`
    /// one is summed anew, because the low part can outgrow a small distance.
    #[inline(always)]
    pub(crate) fn near<const NESTED: bool>(&self, pos: Pos) -> Near {
        let hi = if pos.hi < self.floor { self.floor } else { pos.hi };
        let lo = if pos.hi < self.floor { 0.0 } else { pos.lo };
        let after = hi - self.start;
        let after_lo = (hi - after) - self.start;
        let before = self.end - hi;
        let before_lo = (self.end - before) - hi;
        let at_end = before > 0.0 && before <= self.snap_end;
        let at_start = after <= self.snap_start && before > 0.0;
        // A last phase shorter than that is all end.
        let from_end = (before < after && !at_start) || at_end;
        let (r, r_lo) = if from_end { (before, before_lo - lo) } else { (after, after_lo + lo) };
        let (r, r_lo) = if at_start || at_end { (0.0, 0.0) } else { (r, r_lo) };
        let (r, r_lo) = if NESTED { two_sum(r, r_lo) } else { (r, r_lo) };
        let (r, lo) = self.inverse.times(r, r_lo);
        Near { r, lo, from_end }
    }
}
