//! The arithmetic of lehr: hyper-parameter schedules, LR-finder sweeps and learning-rate
//! suggestions. No Python, no I/O, no printing.
//!
//! ```
//! use lehr_core::{Ends, Schedule};
//!
//! let schedule = Schedule::combined_cos(0.25, Ends::One(0.5), Ends::One(1.0), Ends::One(0.0))?;
//! assert_eq!(schedule.at(0.25)?, 1.0);
//! assert_eq!(schedule.at(1.0)?, 0.0);
//! # Ok::<(), lehr_core::Error>(())
//! ```
//!
//! The rules cited in the comments are those of `docs/design/semantics.md`.

#![forbid(unsafe_code)]

mod error;
pub mod events;
pub mod group;
mod math;
pub mod plan;
pub mod schedule;
pub mod suggest;
pub mod sweep;

pub use error::{Error, Result};
pub use schedule::{Custom, Ends, Part, Schedule, Shape};
