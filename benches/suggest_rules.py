"""Published rules that suggest a rate from a sweep, and a sketch of a robust one, in plain numpy.

Each takes the raw losses of a whole sweep, averages and ends them as its own library does, and
returns a rate, NaN where it has none. They are here to be compared with, and as a source that
does not depend on lehr's own arithmetic.
"""

import math

import numpy as np

NAN = float("nan")


# --- what each library keeps of a sweep -----------------------------------------------------


def exponential(losses, later=1, times=4.0):
    """Average with beta .98, debiased by the exponent i + `later`; end at `times` the best.

    fastai debiases by i + 1, Lightning by i + 2. Both compare from the second point on.
    """
    mean, best, kept = 0.0, math.inf, []
    for i, loss in enumerate(losses):
        mean = 0.98 * mean + 0.02 * loss
        smooth = mean / (1 - 0.98 ** (i + later))
        kept.append(smooth)
        if i and smooth > times * best:
            break
        best = min(best, smooth)
    return np.array(kept)


def twentieth(losses):
    """Average with a weight of .05 from the first loss on; end at five times the best.

    torch-lr-finder and Ignite.
    """
    kept = [losses[0]]
    best = losses[0]
    for loss in losses[1:]:
        smooth = 0.05 * loss + 0.95 * kept[-1]
        kept.append(smooth)
        best = min(best, smooth)
        if smooth > 5 * best:
            break
    return np.array(kept)


def fastai(lrs, losses, num_it):
    """Return what fastai hands its rules: the first tenth and the last five points are left out."""
    kept = exponential(losses)[num_it // 10 : -5]
    bad = ~np.isfinite(kept)
    end = int(bad.argmax()) if bad.any() else len(kept)
    start = num_it // 10
    return lrs[start : start + end], kept[:end]


# --- fastai's four --------------------------------------------------------------------------


def valley(lrs, losses, num_it):
    """Two thirds down the longest falling subsequence."""
    lrs, losses = fastai(lrs, losses, num_it)
    if not len(lrs):
        return NAN
    lengths = np.ones(len(losses), dtype=int)
    for i in range(1, len(losses)):
        lengths[i] += max(lengths[:i][losses[:i] > losses[i]], default=0)
    end, length = int(lengths.argmax()), int(lengths.max())
    return lrs[end - length + length // 3 + length // 6] if length > 1 else lrs[0]


def slide(lrs, losses, num_it, apart=15, threshold=0.005):
    """Slide an interval down from the end until the slopes at its ends are alike."""
    lrs, losses = fastai(lrs, losses, num_it)
    if len(lrs) <= apart:
        return NAN
    slope = np.gradient(losses)
    right, left = -1, -1 - apart
    found = lrs[left]
    while left >= -len(lrs) and abs(slope[right] - slope[left]) > threshold:
        found = lrs[left]
        right, left = right - 1, left - 1
    return found


def minimum(lrs, losses, num_it):
    """Return a tenth of the rate at the least loss."""
    lrs, losses = fastai(lrs, losses, num_it)
    return lrs[losses.argmin()] / 10 if len(lrs) else NAN


def steep(lrs, losses, num_it):
    """Return the rate where the loss falls fastest over the logarithm of the rate."""
    lrs, losses = fastai(lrs, losses, num_it)
    if len(lrs) < 2:
        return NAN
    return lrs[(np.diff(losses) / np.diff(np.log(lrs))).argmin()]


def median_of_four(lrs, losses, num_it):
    """Return the median of fastai's four, in the logarithm of the rate."""
    four = [rule(lrs, losses, num_it) for rule in (valley, slide, minimum, steep)]
    four = [lr for lr in four if not math.isnan(lr)]
    return float(np.exp(np.median(np.log(four)))) if four else NAN


# --- others ---------------------------------------------------------------------------------


def lightning(lrs, losses, num_it):  # noqa: ARG001 - the form of all rules
    """Return the rate of the least slope over the rate itself: Lightning from 2.5.3 on."""
    kept = exponential(losses, later=2)[10:-1]
    lrs = lrs[10 : 10 + len(kept)]
    good = np.isfinite(kept)
    if good.sum() < 2:
        return NAN
    lrs, kept = lrs[good], kept[good]
    return lrs[np.gradient(kept, lrs).argmin()]


def torch_lr_finder(lrs, losses, num_it):  # noqa: ARG001
    """Return the rate of the least difference, the first ten and last five points left out."""
    kept = twentieth(losses)[10:-5]
    return lrs[10 + np.gradient(kept).argmin()] if len(kept) > 1 else NAN


def ignite(lrs, losses, num_it):  # noqa: ARG001
    """Return the rate of the least central difference left of the least loss."""
    kept = twentieth(losses)
    kept = kept[: kept.argmin() + 1]
    if len(kept) < 3:
        return NAN
    return lrs[1 + (kept[2:] - kept[:-2]).argmin()]


# --- the sketch -----------------------------------------------------------------------------

CONSTANTS = {
    "bandwidth": 0.15,  # of the smoother, in decades
    "cap_falls": 3.0,  # falls of the curve above its start at which losses are capped
    "cap_sigmas": 5.0,  # and their noise
    "done": 0.9,  # share of the fall at which it counts as done
    "rise": 0.5,  # share of the fall that ends the good region when lost again
    "rise_sigmas": 8.0,
    "mix": 2 / 3,  # weight of where the fall is done; the rest is where it is lost
    "reach": 2.0,  # decades below where it is lost that count as done at the least
    "offset": -0.5,  # decades
    "exponent": 0.5,  # of the points a decade, over 12.5
}


def median_of_three(y):
    """Return the running median; the ends stay as they are."""
    if len(y) < 3:
        return y
    middle = np.median(np.stack([y[:-2], y[1:-1], y[2:]]), axis=0)
    return np.concatenate([y[:1], middle, y[-1:]])


def local_linear(x, y, width):
    """Return the centred local-linear Gaussian smooth of y over x."""
    apart = x[None, :] - x[:, None]
    weight = np.exp(-0.5 * (apart / width) ** 2)
    s0, s1, s2 = weight.sum(1), (weight * apart).sum(1), (weight * apart**2).sum(1)
    a, b = weight @ y, (weight * apart) @ y
    return (s2 * a - s1 * b) / np.maximum(s0 * s2 - s1**2, 1e-300)


def sketch(lrs, losses, num_it, **constants):  # noqa: ARG001
    """Return (rate, signal to noise) by the robust rule as first sketched."""
    c = CONSTANTS | constants
    x, y = np.log10(lrs), np.asarray(losses, dtype=float)
    good = np.isfinite(y)
    x, y = x[good], y[good]
    if len(y) < 10:
        return NAN, 0.0
    per_decade = (len(x) - 1) / (x[-1] - x[0])
    many = max(3, len(y) // 5)
    steps = np.diff(y[:many])  # as met: the running median would hide the noise
    y = median_of_three(y)
    start = np.median(y[:many])
    sigma = 1.4826 * np.median(np.abs(steps - np.median(steps))) / math.sqrt(2)
    y = np.minimum(y, start + c["cap_falls"] * abs(start - y.min()) + c["cap_sigmas"] * sigma)
    s = local_linear(x, y, c["bandwidth"])
    i = int(s.argmin())
    fall = start - s[i]
    noise = sigma / math.sqrt(2 * math.sqrt(math.pi) * c["bandwidth"] * per_decade)
    if fall <= 0:
        return NAN, 0.0
    done = x[: i + 1][s[: i + 1] <= start - c["done"] * fall][0]
    lost = np.flatnonzero(s[i:] > s[i] + max(c["rise"] * fall, c["rise_sigmas"] * noise))
    end = x[i + lost[0]] if len(lost) else x[-1]
    place = c["mix"] * max(done, end - c["reach"]) + (1 - c["mix"]) * end + c["offset"]
    lr = 10**place * (per_decade / 12.5) ** c["exponent"]
    return float(np.clip(lr, lrs[0], lrs[-1])), fall / max(noise, 1e-300)
