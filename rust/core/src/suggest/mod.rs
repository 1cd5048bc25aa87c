//! Learning-rate suggestions, one file a rule.
//!
//! A rule reads a sweep's curve, the learning rates and as many losses, and answers every curve
//! of at least one point (rows L3, L6). Losses that are not finite take no part (row L5).
//!
//! The rules of other finders read the averages that these store, and answer as these do: for
//! comparison.

mod ask;
mod curve;
mod ignite;
mod lightning;
mod local;
mod many;
mod minimum;
mod robust;
mod runs;
mod slide;
mod steep;
mod torch_lr_finder;
mod valley;

pub use ask::{Answer, Asked, Judged, Method};
pub(crate) use curve::check;
pub use ignite::ignite;
pub use lightning::lightning;
pub use many::{Answers, Lists, Offsets, Questions, Values, many};
pub use minimum::minimum;
pub use robust::{Constants, Reading, Status, decades_apart, robust, smooth_local};
pub use runs::{Steps, by_run};
pub use slide::slide;
pub use steep::steep;
pub use torch_lr_finder::torch_lr_finder;
pub use valley::valley;

/// A suggested rate, and the point (rate, loss) of the curve it stands on.
pub type Suggested = (f64, (f64, f64));

/// Two numbers are one when they differ by this share of their size: what rounding leaves of
/// equal slopes is no reason to prefer one.
const RESOLUTION: f64 = 1e-9;

/// The index of the first least value, where one that is not a number counts as less than any, as
/// in numpy and torch; 0 of none.
fn first_least(values: impl Iterator<Item = f64>) -> usize {
    let mut least = (0, f64::INFINITY);
    for (index, value) in values.enumerate() {
        if value.is_nan() {
            return index;
        }
        if value < least.1 {
            least = (index, value);
        }
    }
    least.0
}
