//! What an LR finder does with numbers: smooth the losses, decide when to stop, trim the curve.

mod average;
mod pool;
mod smoother;
mod stop;

pub use average::Average;
pub use pool::pool;
pub use smoother::{Smoother, smoothed};
pub use stop::{Stop, Sweep, trim};

use crate::error::Result;

/// Check the points of a sweep, of which there may be none, and return the losses as they were
/// before `smoothing` averaged them.
pub fn raw_losses(lrs: &[f64], losses: Vec<f64>, smoothing: Option<Average>) -> Result<Vec<f64>> {
    if !(lrs.is_empty() && losses.is_empty()) {
        crate::suggest::check(lrs, &losses)?;
    }
    Ok(match smoothing {
        Some(average) => average.invert(&losses),
        None => losses,
    })
}
