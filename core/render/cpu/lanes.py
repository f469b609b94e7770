"""Sixteen-lane vector types for numba kernels; what can be done with them is in `simd` and `memory`.

numba leaves vectorisation to LLVM's loop optimiser, which does not see through our inner loops. The types here let a kernel
say it itself: values of type `FloatLanes`, `IntLanes` and `MaskLanes` are LLVM vectors of 16 lanes that live in registers.
LLVM maps them to AVX-512 directly and splits them for AVX2, SSE or NEON, so the same kernel runs everywhere.

    x = load(row, i)                # 16 floats from an array
    y = fma(x, x, broadcast(0.5))
    store(row, i, select(y > x, y, x))

Kernels that use them are compiled without ``fastmath``: numba would put its flags on our instructions too, and the kernels
rely on comparisons that are false for NaN. Fused multiply-adds are asked for by name instead.
"""

from __future__ import annotations

import operator

import numpy as np
from llvmlite import ir
from numba.core import types
from numba.core.imputils import lower_builtin
from numba.core.typing.templates import AbstractTemplate, infer_global, signature
from numba.extending import models, register_model

LANES = 16

I1, I32, I64 = ir.IntType(1), ir.IntType(32), ir.IntType(64)
FLOATS, INTS, MASKS = (ir.VectorType(element, LANES) for element in (ir.FloatType(), I32, I1))


class LanesType(types.Type):
    """A numba type whose values are LLVM vectors."""

    def __init__(self, name: str, llvm_type: ir.VectorType) -> None:
        self.llvm_type = llvm_type
        super().__init__(name=name)


class FloatLanesType(LanesType):
    """16 × float32."""


class IntLanesType(LanesType):
    """16 × int32."""


class MaskLanesType(LanesType):
    """16 × bool."""


float_lanes = FloatLanesType("FloatLanes", FLOATS)
int_lanes = IntLanesType("IntLanes", INTS)
mask_lanes = MaskLanesType("MaskLanes", MASKS)


@register_model(FloatLanesType)
@register_model(IntLanesType)
@register_model(MaskLanesType)
class _LanesModel(models.PrimitiveModel):
    def __init__(self, manager, lanes_type: LanesType) -> None:
        super().__init__(manager, lanes_type, lanes_type.llvm_type)


def _define_operator(function, operand: LanesType, result: LanesType, emit) -> None:
    """Let ``operand ∘ operand`` compile to the instruction that `emit(builder, a, b)` makes."""

    @infer_global(function)
    class _Typing(AbstractTemplate):
        def generic(self, args, keywords):
            return signature(result, operand, operand) if args == (operand, operand) else None

    @lower_builtin(function, operand, operand)
    def _lowering(context, builder, sig, args):
        return emit(builder, *args)


def _float_comparison(symbol: str):
    return lambda builder, a, b: builder.fcmp_ordered(symbol, a, b)


def _int_comparison(symbol: str):
    return lambda builder, a, b: builder.icmp_signed(symbol, a, b)


_define_operator(operator.add, float_lanes, float_lanes, lambda builder, a, b: builder.fadd(a, b))
_define_operator(operator.sub, float_lanes, float_lanes, lambda builder, a, b: builder.fsub(a, b))
_define_operator(operator.mul, float_lanes, float_lanes, lambda builder, a, b: builder.fmul(a, b))
_define_operator(operator.truediv, float_lanes, float_lanes, lambda builder, a, b: builder.fdiv(a, b))
_define_operator(operator.gt, float_lanes, mask_lanes, _float_comparison(">"))
_define_operator(operator.ge, float_lanes, mask_lanes, _float_comparison(">="))
_define_operator(operator.add, int_lanes, int_lanes, lambda builder, a, b: builder.add(a, b))
_define_operator(operator.sub, int_lanes, int_lanes, lambda builder, a, b: builder.sub(a, b))
_define_operator(operator.lshift, int_lanes, int_lanes, lambda builder, a, b: builder.shl(a, b))
_define_operator(operator.rshift, int_lanes, int_lanes, lambda builder, a, b: builder.ashr(a, b))
_define_operator(operator.and_, int_lanes, int_lanes, lambda builder, a, b: builder.and_(a, b))
_define_operator(operator.or_, int_lanes, int_lanes, lambda builder, a, b: builder.or_(a, b))
_define_operator(operator.ge, int_lanes, mask_lanes, _int_comparison(">="))
_define_operator(operator.ne, int_lanes, mask_lanes, _int_comparison("!="))
_define_operator(operator.le, float_lanes, mask_lanes, _float_comparison("<="))
_define_operator(operator.and_, mask_lanes, mask_lanes, lambda builder, a, b: builder.and_(a, b))


# ---- pieces of the code generators in `simd` and `memory` -------------------------------------------------------------


def broadcast_value(builder, scalar):
    """A scalar in all lanes."""
    lanes = ir.VectorType(scalar.type, LANES)
    undefined = ir.Constant(lanes, ir.Undefined)
    first = builder.insert_element(undefined, scalar, ir.Constant(I32, 0))
    return builder.shuffle_vector(first, undefined, ir.Constant(INTS, [0] * LANES))


def float_constant(value: float):
    """The float32 nearest to a number, in all lanes."""
    return ir.Constant(FLOATS, [float(np.float32(value))] * LANES)


def int_constant(value: int):
    """An int32 in all lanes."""
    return ir.Constant(INTS, [value] * LANES)


def call_llvm(builder, name: str, result, *arguments):
    """Call LLVM's own function of that name."""
    function_type = ir.FunctionType(result, [argument.type for argument in arguments])
    function = builder.module.globals.get(name) or ir.Function(builder.module, function_type, name)
    return builder.call(function, arguments)


def fused_multiply_add(builder, a, b, c):
    """a·b + c in one rounding."""
    return call_llvm(builder, f"llvm.fma.v{LANES}f32", FLOATS, a, b, c)


def address_of(context, builder, array_type, array, index, lanes):
    """Where lanes that begin at ``array[index]`` lie."""
    data = context.make_array(array_type)(context, builder, value=array).data
    return builder.bitcast(builder.gep(data, [index]), lanes.as_pointer())


def lanes_of(array_type) -> LanesType | None:
    """The lanes that a one-dimensional contiguous array of this type holds, or None."""
    if not isinstance(array_type, types.Array) or array_type.layout != "C" or array_type.ndim != 1:
        return None
    return {types.float32: float_lanes, types.int32: int_lanes, types.uint32: int_lanes}.get(array_type.dtype)
