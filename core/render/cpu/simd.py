"""Arithmetic on sixteen-lane vectors (see `core.render.cpu.lanes`) as numba intrinsics: each becomes a few instructions."""

from __future__ import annotations

import numpy as np
from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from core.render.cpu.lanes import (
    FLOATS,
    I1,
    I64,
    INTS,
    LANES,
    broadcast_value,
    call_llvm,
    float_constant,
    float_lanes,
    fused_multiply_add,
    int_constant,
    int_lanes,
    mask_lanes,
)


def exp2_coefficients(degree: int) -> list[float]:
    """A polynomial near 2^(m − 1) for m in [1, 2], from the highest power down: interpolation at Chebyshev nodes."""
    nodes = 1.5 + 0.5 * np.cos(np.pi * (np.arange(degree + 1) + 0.5) / (degree + 1))
    return [float(c) for c in np.polyfit(nodes, np.exp2(nodes - 1), degree)]


_EXP2_COEFFICIENTS = exp2_coefficients(3)


# ---- making and converting -------------------------------------------------------------------------------------------


@intrinsic
def broadcast(typing_context, scalar):
    """The same float32 (or integer, taken to int32) in all lanes."""
    if isinstance(scalar, types.Float):
        return float_lanes(types.float32), lambda context, builder, sig, args: broadcast_value(builder, args[0])
    if isinstance(scalar, types.Integer):
        return int_lanes(types.int32), lambda context, builder, sig, args: broadcast_value(builder, args[0])
    return None


@intrinsic
def lane_numbers(typing_context):
    """0, 1, …, 15."""
    return int_lanes(), lambda context, builder, sig, args: ir.Constant(INTS, list(range(LANES)))


@intrinsic
def to_float(typing_context, value):
    """Integers as floats."""
    if value != int_lanes:
        return None
    return float_lanes(value), lambda context, builder, sig, args: builder.sitofp(args[0], FLOATS)


@intrinsic
def to_int(typing_context, value):
    """Floats as integers, truncated toward zero; the values must fit."""
    if value != float_lanes:
        return None
    return int_lanes(value), lambda context, builder, sig, args: builder.fptosi(args[0], INTS)


@intrinsic
def float_bits(typing_context, value):
    """The bit patterns of floats."""
    if value != float_lanes:
        return None
    return int_lanes(value), lambda context, builder, sig, args: builder.bitcast(args[0], INTS)


# ---- arithmetic ------------------------------------------------------------------------------------------------------


@intrinsic
def fma(typing_context, a, b, c):
    """a·b + c in one rounding."""
    if not a == b == c == float_lanes:
        return None
    return float_lanes(a, b, c), lambda context, builder, sig, args: fused_multiply_add(builder, *args)


@intrinsic
def fnma(typing_context, a, b, c):
    """c − a·b in one rounding."""
    if not a == b == c == float_lanes:
        return None

    def generate(context, builder, sig, args):
        return fused_multiply_add(builder, builder.fneg(args[0]), args[1], args[2])

    return float_lanes(a, b, c), generate


@intrinsic
def select(typing_context, condition, a, b):
    """a where the mask is set, else b."""
    if condition != mask_lanes or a != b:
        return None
    return a(condition, a, b), lambda context, builder, sig, args: builder.select(*args)


@intrinsic
def minimum(typing_context, a, b):
    """The smaller of each pair; b where they cannot be compared."""
    return _extremum(a, b, "<")


@intrinsic
def maximum(typing_context, a, b):
    """The larger of each pair; b where they cannot be compared."""
    return _extremum(a, b, ">")


def _extremum(a, b, symbol):
    if a != b or a not in (float_lanes, int_lanes):
        return None

    def generate(context, builder, sig, args):
        compare = builder.fcmp_ordered if a == float_lanes else builder.icmp_signed
        return builder.select(compare(symbol, args[0], args[1]), args[0], args[1])

    return a(a, b), generate


@intrinsic
def square_root(typing_context, value):
    """√value, to the last bit."""
    if value != float_lanes:
        return None
    return float_lanes(value), lambda context, builder, sig, args: call_llvm(builder, f"llvm.sqrt.v{LANES}f32", FLOATS, args[0])


@intrinsic
def exp2_scaled(typing_context, value):
    """2^(value·2⁻²³) for −126 < value·2⁻²³ < 127, to a relative error of 1.1e-4; anything below that range.

    A number scaled so has its integer part where a float has its exponent, which saves half of the usual range reduction.
    """
    if value != float_lanes:
        return None

    def generate(context, builder, sig, args):
        fixed = builder.fptosi(args[0], INTS)
        mantissa = builder.or_(builder.and_(fixed, int_constant(0x007FFFFF)), int_constant(0x3F800000))
        mantissa = builder.bitcast(mantissa, FLOATS)
        polynomial = float_constant(_EXP2_COEFFICIENTS[0])
        for coefficient in _EXP2_COEFFICIENTS[1:]:
            polynomial = fused_multiply_add(builder, polynomial, mantissa, float_constant(coefficient))
        exponent = builder.and_(fixed, int_constant(-0x00800000))
        return builder.bitcast(builder.add(builder.bitcast(polynomial, INTS), exponent), FLOATS)

    return float_lanes(value), generate


@intrinsic
def log2(typing_context, value):
    """Base-2 logarithm of normal positive floats, to an absolute error of 2e-7 around 1."""
    if value != float_lanes:
        return None

    def generate(context, builder, sig, args):
        # value = mantissa·2^exponent with the mantissa in [√½, √2); log m = 2 artanh((m − 1) / (m + 1)).
        root_half = int_constant(0x3F3504F3)
        bits = builder.bitcast(args[0], INTS)
        exponent = builder.ashr(builder.sub(bits, root_half), int_constant(23))
        mantissa = builder.bitcast(builder.sub(bits, builder.shl(exponent, int_constant(23))), FLOATS)
        one = float_constant(1.0)
        ratio = builder.fdiv(builder.fsub(mantissa, one), builder.fadd(mantissa, one))
        square = builder.fmul(ratio, ratio)
        series = float_constant(2 / np.log(2) / 9)
        for odd in (7, 5, 3, 1):
            series = fused_multiply_add(builder, series, square, float_constant(2 / np.log(2) / odd))
        return fused_multiply_add(builder, series, ratio, builder.sitofp(exponent, FLOATS))

    return float_lanes(value), generate


@intrinsic
def count_bits(typing_context, bits):
    """Number of set bits of an int64."""
    if not isinstance(bits, types.Integer):
        return None
    return types.int64(types.int64), lambda context, builder, sig, args: builder.ctpop(args[0])


# ---- masks -----------------------------------------------------------------------------------------------------------


@intrinsic
def any_lane(typing_context, mask):
    """Whether some lane is set."""
    if mask != mask_lanes:
        return None

    def generate(context, builder, sig, args):
        bits = builder.bitcast(args[0], ir.IntType(LANES))
        return builder.icmp_unsigned("!=", bits, ir.Constant(ir.IntType(LANES), 0))

    return types.boolean(mask), generate


@intrinsic
def mask_bits(typing_context, mask):
    """The mask as an integer, lane 0 in bit 0."""
    if mask != mask_lanes:
        return None

    def generate(context, builder, sig, args):
        return builder.zext(builder.bitcast(args[0], ir.IntType(LANES)), I64)

    return types.int64(mask), generate


@intrinsic
def lowest_bit(typing_context, bits):
    """Position of the lowest set bit of an int64 that is not zero."""
    if not isinstance(bits, types.Integer):
        return None

    def generate(context, builder, sig, args):
        return builder.cttz(args[0], ir.Constant(I1, 1))

    return types.int64(types.int64), generate
