//! Learning-rate suggestions, one file a rule.
//!
//! A rule reads a sweep's curve, the learning rates and as many losses, and answers every curve
//! of at least one point (rows L3, L6). Losses that are not finite take no part (row L5).

mod curve;
mod minimum;
mod slide;
mod steep;
mod valley;

pub(crate) use curve::check;
pub use minimum::minimum;
pub use slide::slide;
pub use steep::steep;
pub use valley::valley;

/// A suggested rate, and the point (rate, loss) of the curve it stands on.
pub type Suggested = (f64, (f64, f64));

/// Two numbers are one when they differ by this share of their size: what rounding leaves of
/// equal slopes is no reason to prefer one.
const RESOLUTION: f64 = 1e-9;
