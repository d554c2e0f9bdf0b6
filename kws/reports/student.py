"""Student's t distribution and the normal one, on the standard library alone.

scipy.special has both, but importing it takes longer than all else that `kws compare` does. A table needs a few dozen
values, for which plain Python is fast enough. tests/test_student.py holds each function to scipy's.

Decisions:
- With few degrees of freedom, or far out, a tail is an incomplete beta function, by its continued fraction (NIST
  Digital Library of Mathematical Functions, 8.17.5 and 8.17.22) from the side on which that converges fast.
- With many, the fraction loses digits. There w^2 = v log(1 + t^2/v), for v degrees of freedom, turns the density into
  that of a normal number w times a function of w^2/v, whose series is integrated term by term.
- The gamma functions in both are half a step apart: their ratio has a series of its own (DLMF 5.11.13), so that it
  keeps its digits where each of them would be too large for a float.
- A quantile is found by Newton's method on logarithms: there a tail is a concave function of t, on which the method
  cannot run away.
"""

from __future__ import annotations

import math
import statistics

_NORMAL = statistics.NormalDist()
_GAMMAS = (-1 / 8, 1 / 192, -1 / 640, 17 / 14336, -31 / 18432, 691 / 180224, -5461 / 425984)  # of odd powers of 1/a
_LARGE = 10.0  # from here on that series has all digits of a float
# The series of sqrt(u / (1 - exp(-u))):
_DENSITY = (
    1, 1 / 4, 1 / 96, -1 / 384, -1 / 10240, 19 / 368640, 79 / 61931520, -55 / 49545216, -2339 / 118908518400,
    11813 / 475634073600, 677 / 1993133260800, -2117 / 3720515420160, -308963 / 48753634065776640,
)  # fmt: skip
_MANY = 100.0  # degrees of freedom
_NEAR = 0.5  # the largest w^2/v for that series
_TINY = 1e-300
_ROUNDING = 2.3e-16
_CLOSE = 1e-9  # a step of Newton's method below this is the last one: the next would be below rounding
_MOST = 10_000  # terms and steps; some dozens are needed


def normal_below(x: float) -> float:
    """The probability that a standard normal number is below x."""
    return math.erfc(-x / math.sqrt(2)) / 2


def above(t: float, freedom: float) -> float:
    """The probability that Student's t is above `t`, which is 0 or more; degrees of freedom may be infinite."""
    if math.isinf(freedom):
        return normal_below(-t)
    if not t:
        return 0.5
    ratio = t * t / freedom
    if freedom > _MANY and math.log1p(ratio) < _NEAR:
        return _above_of_many(freedom, freedom * math.log1p(ratio))
    a, x, y = freedom / 2, 1 / (1 + ratio), 1 / (1 + freedom / (t * t))
    front = math.exp(-a * math.log1p(ratio)) * math.sqrt(y / math.pi) * _gamma_ratio(a)
    if x < (a + 1) / (a + 2.5):
        return front * _fraction(a, 0.5, x) / (2 * a)
    return 0.5 - front * _fraction(0.5, a, y)


def quantile(confidence: float, freedom: float) -> float:
    """The t such that Student's distribution lies within [-t, t] with probability `confidence`, from 0 to below 1."""
    wanted = 1 - (1 + confidence) / 2
    if wanted >= 0.5:
        return 0.0
    t = -_NORMAL.inv_cdf(wanted)
    if math.isinf(freedom):
        return t
    for _ in range(_MOST):
        found = above(t, freedom)
        step = math.log(found / wanted) * found / (t * _density(t, freedom))
        t *= math.exp(step)
        if abs(step) < _CLOSE:
            break
    return t


def _density(t: float, freedom: float) -> float:
    scale = _gamma_ratio(freedom / 2) / math.sqrt(freedom * math.pi)
    return scale * math.exp(-(freedom + 1) / 2 * math.log1p(t * t / freedom))


def _above_of_many(freedom: float, square: float) -> float:
    """The probability of a t above that whose w^2 is `square`: the sum over k of c_k / v^k times a moment of w."""
    moment = math.sqrt(math.pi / 2) * math.erfc(math.sqrt(square / 2))  # of the order 0: exp(-w^2/2) integrated
    edge = math.exp(-square / 2) / math.sqrt(square) if square else 0.0
    found, power = 0.0, 1.0
    for k, coefficient in enumerate(_DENSITY):
        found += coefficient * power * moment
        edge *= square
        moment = edge + (2 * k + 1) * moment
        power /= freedom
    return found * _gamma_ratio(freedom / 2) / math.sqrt(freedom * math.pi)


def _gamma_ratio(a: float) -> float:
    """The gamma function at a + 1/2 over that at a."""
    factor = 1.0
    while a < _LARGE:
        factor *= a / (a + 0.5)
        a += 1
    series = 0.0
    for term in reversed(_GAMMAS):
        series = series / (a * a) + term
    return factor * math.sqrt(a) * math.exp(series / a)


def _fraction(a: float, b: float, x: float) -> float:
    """The continued fraction of the incomplete beta function I_x(a, b), from its front (Lentz's method)."""
    c, d = 1.0, 1 / _nonzero(1 - (a + b) * x / (a + 1))
    value = d
    for m in range(1, _MOST):
        for numerator in (
            m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)),
            -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1)),
        ):
            d = 1 / _nonzero(1 + numerator * d)
            c = _nonzero(1 + numerator / c)
            value *= c * d
        if abs(c * d - 1) < _ROUNDING:
            break
    return value


def _nonzero(value: float) -> float:
    return value if abs(value) > _TINY else _TINY
