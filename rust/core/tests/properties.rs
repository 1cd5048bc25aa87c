//! Properties of every schedule, on random ones: the Rust half of the battery.

use lehr_core::suggest::{minimum, slide, steep, valley};
use lehr_core::sweep::Smoother;
use lehr_core::{Ends, Part, Schedule, Shape};
use proptest::collection::vec;
use proptest::prelude::*;

fn end() -> impl Strategy<Value = f64> {
    prop_oneof![Just(0.0), 1e-100..1e100_f64, -1e100..-1e-100_f64]
}

fn simple() -> impl Strategy<Value = Schedule> {
    let shape = prop_oneof![
        Just(Shape::Lin),
        Just(Shape::Cos),
        Just(Shape::No),
        (0.05..20.0_f64).prop_map(|power| Shape::Poly { power }),
    ];
    let any = (shape, end(), end())
        .prop_map(|(shape, a, b)| Schedule::simple(shape, Ends::One(a), Ends::One(b)).unwrap());
    let exp = (1e-100..1e100_f64, 1e-100..1e100_f64)
        .prop_map(|(a, b)| Schedule::simple(Shape::Exp, Ends::One(a), Ends::One(b)).unwrap());
    prop_oneof![4 => any, 1 => exp]
}

fn combine((weights, parts): (Vec<f64>, Vec<Schedule>)) -> Schedule {
    let n = weights.len().min(parts.len());
    let total: f64 = weights[..n].iter().sum();
    let pcts = weights[..n].iter().map(|weight| weight / total).collect();
    Schedule::combine(pcts, parts.into_iter().take(n).map(Part::Schedule).collect()).unwrap()
}

fn schedule() -> impl Strategy<Value = Schedule> {
    simple().prop_recursive(3, 12, 4, |inner| {
        (vec(0.01..1.0_f64, 1..5), vec(inner, 1..5)).prop_map(combine)
    })
}

proptest! {
    #[test]
    fn many_positions_give_the_bits_of_each(f in schedule(), pos in vec(0.0..=1.0_f64, 1..700)) {
        let many = f.at_many(&pos).unwrap();
        for (pos, value) in pos.iter().zip(many) {
            prop_assert_eq!(value.to_bits(), f.at(*pos).unwrap().to_bits());
        }
    }

    #[test]
    fn steps_give_the_bits_of_k_over_steps(f in schedule(), steps in 1_u32..700) {
        let values = f.values(steps as usize, false).unwrap();
        for (k, value) in (0..steps).zip(values) {
            let pos = f64::from(k) / f64::from(steps);
            prop_assert_eq!(value.to_bits(), f.at(pos).unwrap().to_bits());
        }
    }

    #[test]
    fn json_gives_an_equal_schedule_back(f in schedule()) {
        let again = Schedule::from_json(&f.to_json().unwrap()).unwrap();
        prop_assert_eq!(&again, &f);
        prop_assert_eq!(again.to_json().unwrap(), f.to_json().unwrap());
    }

    #[test]
    fn any_text_is_a_schedule_or_an_error(text in r#"[\[\]{}":,0-9.eE+a-z-]{0,80}"#) {
        let _ = Schedule::from_json(&text);
    }

    #[test]
    fn simple_schedules_are_exact_at_their_ends(f in simple()) {
        let (shape, start, end) = f.as_simple().unwrap();
        prop_assert_eq!(f.at(0.0).unwrap(), start.get(0));
        let last = if shape == Shape::No { start } else { end };
        prop_assert_eq!(f.at(1.0).unwrap(), last.get(0));
    }

    /// Multiples of 2^-30 below 1 add up without rounding, so the sums are exact integers.
    #[test]
    fn boundaries_are_exact_sums(weights in vec(1_u32..1000, 1..20)) {
        let total: u32 = weights.iter().sum();
        let unit = f64::from(total.next_power_of_two());
        let mut pcts: Vec<f64> = weights.iter().map(|w| f64::from(*w) / unit).collect();
        pcts.push((unit - f64::from(total)) / unit);
        let line = Schedule::simple(Shape::Lin, Ends::One(0.0), Ends::One(1.0)).unwrap();
        let parts = vec![Part::Schedule(line); pcts.len()];
        let f = Schedule::combine(pcts, parts).unwrap();
        let mut sum = 0;
        for (boundary, weight) in f.boundaries().iter().zip(&weights) {
            prop_assert_eq!(*boundary, f64::from(sum) / unit);
            sum += weight;
        }
    }

    #[test]
    fn a_constant_loss_smooths_to_itself(loss in -1e6..1e6_f64, beta in 0.0..0.999_f64, n in 1..500) {
        let mut smoother = Smoother::new(beta).unwrap();
        for _ in 0..n {
            let value = smoother.push(loss);
            prop_assert!((value - loss).abs() <= 1e-12 * loss.abs());
        }
    }

    #[test]
    fn valley_is_the_quadratic_definition(losses in vec(0_u8..12, 1..60)) {
        let losses: Vec<f64> = losses.into_iter().map(f64::from).collect();
        let mut longest = vec![1_usize; losses.len()];
        for i in 0..losses.len() {
            for j in 0..i {
                if losses[j] > losses[i] {
                    longest[i] = longest[i].max(longest[j] + 1);
                }
            }
        }
        let n = *longest.iter().max().unwrap();
        let end = longest.iter().position(|length| *length == n).unwrap();
        let index = (end + n / 3 + n / 6).saturating_sub(n);
        let lrs: Vec<f64> = (0..losses.len()).map(|i| i as f64).collect();
        let lr = index as f64;
        prop_assert_eq!(valley(&lrs, &losses).unwrap(), (lr, (lr, losses[index])));
    }

    #[test]
    fn every_rule_answers_every_curve_with_a_rate_of_it(
        points in vec((1e-12..1e3_f64, any::<f64>()), 1..60), half in 0..8_usize,
    ) {
        let (lrs, losses): (Vec<f64>, Vec<f64>) = points.into_iter().unzip();
        let window = 2 * half + 1;
        for (answer, scale) in [
            (valley(&lrs, &losses), 1.0),
            (slide(&lrs, &losses, 15, 0.005, 1.0), 1.0),
            (minimum(&lrs, &losses, window), 10.0),
            (steep(&lrs, &losses, window), 1.0),
        ] {
            let (lr, (x, y)) = answer.unwrap();
            prop_assert!(lrs.iter().any(|one| one / scale == lr));
            prop_assert!(lrs.contains(&x));
            prop_assert!(y.is_finite() || losses.iter().all(|loss| !loss.is_finite()));
        }
    }
}
