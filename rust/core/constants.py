"""Print the polynomial and split constants of `src/math.rs`.

Run it with mpmath installed: `python rust/core/constants.py`. The output is pasted into
`math.rs`; `tests/test_accuracy.py` checks the kernels against mpmath independently.
"""

import math
import struct

import mpmath as mp

mp.mp.dps = 80


def show(name: str, value: mp.mpf) -> None:
    print(f"pub const {name}: f64 = {float(value)!r};  // {float(value).hex()}")


def show_polynomial(name: str, coefficients: list) -> None:
    """Print coefficients lowest power first."""
    print(f"const {name}: [f64; {len(coefficients)}] = [")
    for value in reversed(coefficients):
        print(f"    {float(value)!r},")
    print("];")


def high_bits(value: mp.mpf, bits: int) -> float:
    """Return the float64 made of the top `bits` significant bits of `value`."""
    raw = struct.unpack("<Q", struct.pack("<d", float(value)))[0]
    raw &= ~((1 << (53 - bits)) - 1)
    return struct.unpack("<d", struct.pack("<Q", raw))[0]


def sin2_tail(z: mp.mpf) -> mp.mpf:
    """(sin^2(pi r / 2) - pi^2 r^2 / 4) / r^4 as a function of z = r^2, by its Taylor series."""
    return mp.fsum(
        (-1) ** (k + 1) * mp.pi ** (2 * k) / (2 * mp.factorial(2 * k)) * mp.mpf(z) ** (k - 2)
        for k in range(2, 40)
    )


def exp_tail(f: mp.mpf) -> mp.mpf:
    """(exp(f) - 1 - f) / f^2 by its Taylor series."""
    return mp.fsum(mp.mpf(f) ** (k - 2) / mp.factorial(k) for k in range(2, 40))


def main() -> None:
    quarter_pi_squared = mp.pi**2 / 4
    high = high_bits(quarter_pi_squared, 19)
    show("C0", quarter_pi_squared)
    show("C0_HI", high)
    show("C0_LO", quarter_pi_squared - high)
    coefficients, error = mp.chebyfit(sin2_tail, [0, mp.mpf("0.25")], 8, error=True)
    print(f"// max error {mp.nstr(error, 3)}")
    show_polynomial("SIN2_TAIL", coefficients)

    edge = mp.ln2 / 2 * mp.mpf("1.001")
    coefficients, error = mp.chebyfit(exp_tail, [-edge, edge], 11, error=True)
    print(f"// max error {mp.nstr(error, 3)}")
    show_polynomial("EXP_TAIL", coefficients)
    show("LOG2_E", 1 / mp.ln2)
    # 41 bits: an exact product with any |n| < 2^12.
    ln2_high = high_bits(mp.ln2, 41)
    ln2_mid = float(mp.ln2 - ln2_high)
    show("LN2_HI", ln2_high)
    show("LN2_MID", mp.mpf(ln2_mid))
    show("LN2_LO", mp.ln2 - ln2_high - ln2_mid)
    assert ln2_high + ln2_mid == math.log(2)


if __name__ == "__main__":
    main()
