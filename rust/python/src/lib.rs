//! The compiled module `lehr._core`: conversion between Python and `lehr-core`, no arithmetic.

#![deny(unsafe_code)]

mod at;
mod batch;
mod error;
mod events;
mod group;
mod noop;
mod numbers;
mod plan;
mod preset;
mod robust;
mod schedule;
mod stepper;
mod suggest;
mod sweep;
mod writer;

/// The compiled part of lehr. `writer.rs` borrows references, which only the GIL makes safe.
#[pyo3::pymodule(gil_used = true)]
mod _core {
    #[pymodule_export]
    use crate::batch::{ask, order_by_run, suggest_many};
    #[pymodule_export]
    use crate::events::EventReader;
    #[pymodule_export]
    use crate::group::{median, spread, trend};
    #[pymodule_export]
    use crate::noop::Noop;
    #[pymodule_export]
    use crate::plan::{
        Plateau, carried_step, check_length, combine_lengths, fine_tune_lrs, flat_cos_lr,
        group_values, length_share, one_cycle_lr, reduced_lr, run_length, sgdr_epochs, sgdr_lr,
        sweep_lr,
    };
    #[pymodule_export]
    use crate::preset::{
        preset_cyclic, preset_flat_cos, preset_inverse_sqrt, preset_k_decay, preset_multistep,
        preset_one_cycle, preset_one_cycle_momentum, preset_piecewise, preset_polynomial,
        preset_sgdr, preset_warmup, preset_wsd,
    };
    #[pymodule_export]
    use crate::robust::{decades_apart, robust, smooth_local};
    #[pymodule_export]
    use crate::schedule::{
        Schedule, combine_scheds, combined_cos, make_cos, make_exp, make_inverse_sqrt, make_lin,
        make_no, make_poly, make_tanh, sched_cos, sched_exp, sched_lin, sched_no,
    };
    #[pymodule_export]
    use crate::stepper::{Laid, Stepper};
    #[pymodule_export]
    use crate::suggest::{ignite, lightning, minimum, slide, steep, torch_lr_finder, valley};
    #[pymodule_export]
    use crate::sweep::{Smoother, SweepState, average, curve, pool, trim};
    #[pymodule_export]
    use crate::writer::{Writer, write_hyper};

    #[pymodule_init]
    fn init(module: &pyo3::Bound<'_, pyo3::types::PyModule>) -> pyo3::PyResult<()> {
        crate::at::install(pyo3::Bound::py(module))
    }

    /// The version of the package, from the one place that states it.
    #[pymodule_export]
    const VERSION: &str = env!("CARGO_PKG_VERSION");

    /// The names of the rules that [`ask`] knows, ours first.
    #[pymodule_export]
    const METHODS: [&str; 8] = crate::batch::METHODS;

    /// Whether this is an unoptimised build.
    #[pymodule_export]
    const DEBUG: bool = cfg!(debug_assertions);
}
