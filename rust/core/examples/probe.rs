use lehr_core::*;
use std::time::Instant;
fn main() {
    let f = Schedule::combined_cos(0.25, Ends::One(0.5), Ends::One(1.0), Ends::One(0.0)).unwrap();
    let c = Schedule::simple(Shape::Cos, Ends::One(0.5), Ends::One(1.0)).unwrap();
    let e = Schedule::simple(Shape::Exp, Ends::One(1e-7), Ends::One(10.0)).unwrap();
    for (n, s) in [("cc", &f), ("cos", &c), ("exp", &e)] {
        let mut best = f64::MAX;
        let mut b2 = f64::MAX;
        for _ in 0..30 {
            let t = Instant::now();
            let v = s.values(1_000_000, false).unwrap();
            best = best.min(t.elapsed().as_secs_f64());
            std::hint::black_box(v);
            let t = Instant::now();
            let mut acc = 0.0;
            for i in 0..1000000 {
                acc += s.at(std::hint::black_box(i as f64 * 1e-6)).unwrap();
            }
            b2 = b2.min(t.elapsed().as_secs_f64());
            std::hint::black_box(acc);
        }
        println!("{n} values {:.2} ns/elem; at {:.2} ns", best * 1e3, b2 * 1e3);
    }
}
