"""Sixteen-lane vector types for numba kernels; what can be done with them is in `core.render.cpu.simd`.

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
