//! What an LR finder does with numbers: smooth the losses, decide when to stop, trim the curve.

mod smoother;
mod stop;

pub use smoother::Smoother;
pub use stop::{Stop, Sweep, trim};
