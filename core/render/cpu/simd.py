"""Operations on sixteen-lane vectors (see `core.render.cpu.lanes`) as numba intrinsics: each becomes a few instructions."""

from __future__ import annotations

import numpy as np
from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from core.render.cpu.lanes import FLOATS, I1, I32, I64, INTS, LANES, LanesType, float_lanes, int_lanes, mask_lanes

# ---- helpers of the code generators ----------------------------------------------------------------------------------


def _broadcast(builder, scalar):
    lanes = ir.VectorType(scalar.type, LANES)
    undefined = ir.Constant(lanes, ir.Undefined)
    first = builder.insert_element(undefined, scalar, ir.Constant(I32, 0))
    return builder.shuffle_vector(first, undefined, ir.Constant(INTS, [0] * LANES))


def _float_constant(value: float):
    return ir.Constant(FLOATS, [float(np.float32(value))] * LANES)


def _int_constant(value: int):
    return ir.Constant(INTS, [value] * LANES)


def _call(builder, name: str, result, *arguments):
    """Call LLVM's own function of that name."""
    function_type = ir.FunctionType(result, [argument.type for argument in arguments])
    function = builder.module.globals.get(name) or ir.Function(builder.module, function_type, name)
    return builder.call(function, arguments)


def _fma(builder, a, b, c):
    return _call(builder, f"llvm.fma.v{LANES}f32", FLOATS, a, b, c)


def _address(context, builder, array_type, array, index, lanes):
    data = context.make_array(array_type)(context, builder, value=array).data
    return builder.bitcast(builder.gep(data, [index]), lanes.as_pointer())


def _lanes_of(array_type) -> LanesType | None:
    if not isinstance(array_type, types.Array) or array_type.layout != "C" or array_type.ndim != 1:
        return None
    return {types.float32: float_lanes, types.int32: int_lanes, types.uint32: int_lanes}.get(array_type.dtype)


def _exp2_coefficients() -> list[float]:
    """A cubic near 2^(m − 1) for m in [1, 2], from the highest power down: interpolation at Chebyshev nodes."""
    degree = 3
    nodes = 1.5 + 0.5 * np.cos(np.pi * (np.arange(degree + 1) + 0.5) / (degree + 1))
    return [float(c) for c in np.polyfit(nodes, np.exp2(nodes - 1), degree)]


_EXP2_COEFFICIENTS = _exp2_coefficients()


# ---- memory ----------------------------------------------------------------------------------------------------------


@intrinsic
def load(typing_context, array, index):
    """Lanes from ``array[index:index + 16]``; any alignment."""
    lanes = _lanes_of(array)
    if lanes is None or not isinstance(index, types.Integer):
        return None

    def generate(context, builder, sig, args):
        value = builder.load(_address(context, builder, sig.args[0], args[0], args[1], lanes.llvm_type))
        value.align = 4
        return value

    return lanes(array, index), generate


@intrinsic
def store(typing_context, array, index, value):
    """Write lanes to ``array[index:index + 16]``; any alignment."""
    lanes = _lanes_of(array)
    if lanes is None or lanes != value or not isinstance(index, types.Integer):
        return None

    def generate(context, builder, sig, args):
        instruction = builder.store(args[2], _address(context, builder, sig.args[0], args[0], args[1], lanes.llvm_type))
        instruction.align = 4
        return context.get_dummy_value()

    return types.void(array, index, value), generate


@intrinsic
def prefetch(typing_context, array, index):
    """Ask for the cache line of ``array[index]`` ahead of its use."""
    if not isinstance(array, types.Array) or not isinstance(index, types.Integer):
        return None

    def generate(context, builder, sig, args):
        data = context.make_array(sig.args[0])(context, builder, value=args[0]).data
        byte_pointer = ir.IntType(8).as_pointer()
        address = builder.bitcast(builder.gep(data, [args[1]]), byte_pointer)
        read, keep, data_cache = (ir.Constant(I32, value) for value in (0, 3, 1))
        function_type = ir.FunctionType(ir.VoidType(), [byte_pointer, I32, I32, I32])
        function = builder.module.globals.get("llvm.prefetch.p0") or ir.Function(
            builder.module, function_type, "llvm.prefetch.p0")
        builder.call(function, [address, read, keep, data_cache])
        return context.get_dummy_value()

    return types.void(array, index), generate


@intrinsic
def broadcast_at(typing_context, array, index):
    """``array[index]`` in all lanes; a negative index is not wrapped."""
    if _lanes_of(array) is not float_lanes or not isinstance(index, types.Integer):
        return None

    def generate(context, builder, sig, args):
        data = context.make_array(sig.args[0])(context, builder, value=args[0]).data
        return _broadcast(builder, builder.load(builder.gep(data, [args[1]])))

    return float_lanes(array, types.int64), generate


@intrinsic
def element(typing_context, array, index):
    """``array[index]`` of a uint8 or int32 array that holds no negative numbers; a negative index is not wrapped."""
    if not isinstance(array, types.Array) or array.dtype not in (types.uint8, types.int32):
        return None

    def generate(context, builder, sig, args):
        data = context.make_array(sig.args[0])(context, builder, value=args[0]).data
        return builder.zext(builder.load(builder.gep(data, [args[1]])), I64)

    return types.int64(array, types.int64), generate


@intrinsic
def load_bytes(typing_context, array, index):
    """``array[index:index + 8]`` of a uint8 array as one integer, first byte lowest."""
    if not isinstance(array, types.Array) or array.dtype != types.uint8:
        return None

    def generate(context, builder, sig, args):
        value = builder.load(_address(context, builder, sig.args[0], args[0], args[1], I64))
        value.align = 1
        return value

    return types.int64(array, types.int64), generate


@intrinsic
def store_bytes(typing_context, array, index, value):
    """Write an integer's eight bytes to ``array[index:index + 8]``, or the lowest byte of each lane to 16 elements."""
    if not isinstance(array, types.Array) or array.dtype != types.uint8:
        return None
    lanes = value == int_lanes

    def generate(context, builder, sig, args):
        bytes_type = ir.VectorType(ir.IntType(8), LANES)
        value = builder.trunc(args[2], bytes_type) if lanes else args[2]
        instruction = builder.store(value, _address(context, builder, sig.args[0], args[0], args[1], value.type))
        instruction.align = 1
        return context.get_dummy_value()

    return types.void(array, types.int64, value if lanes else types.int64), generate


@intrinsic
def store_block(typing_context, array, index, pitch, value):
    """Write lanes as a block of 4 rows of 4: lane 4·r + c goes to ``array[index + r·pitch + c]``."""
    if _lanes_of(array) is None or _lanes_of(array) != value:
        return None

    def generate(context, builder, sig, args):
        quad = ir.VectorType(value.llvm_type.element, 4)
        for row in range(4):
            part = builder.shuffle_vector(args[3], args[3], ir.Constant(ir.VectorType(I32, 4), [4 * row + c for c in range(4)]))
            start = builder.add(args[1], builder.mul(args[2], ir.Constant(args[2].type, row)))
            instruction = builder.store(part, _address(context, builder, sig.args[0], args[0], start, quad))
            instruction.align = 4
        return context.get_dummy_value()

    return types.void(array, types.int64, types.int64, value), generate


@intrinsic
def memory_fence(typing_context):
    """Other threads see everything written before it once they see anything written after it."""

    def generate(context, builder, sig, args):
        builder.fence("seq_cst")
        return context.get_dummy_value()

    return types.void(), generate


@intrinsic
def load_strided(typing_context, array, index, stride, component):
    """Lanes from ``array[index + stride·lane + component]``. Stride and component are literal numbers.

    Reads ``array[index:index + 16·stride]`` in whole vectors and shuffles, which is cheaper than a gather.
    """
    literal = types.IntegerLiteral
    if _lanes_of(array) is not float_lanes or not isinstance(stride, literal) or not isinstance(component, literal):
        return None
    step, first = stride.literal_value, component.literal_value

    def generate(context, builder, sig, args):
        parts = []
        for part in range(step):
            start = builder.add(args[1], ir.Constant(args[1].type, part * LANES))
            value = builder.load(_address(context, builder, sig.args[0], args[0], start, FLOATS))
            value.align = 4
            parts.append(value)
        return _pick(builder, parts, [first + lane * step for lane in range(LANES)])

    return float_lanes(array, index, stride, component), generate


def _pick(builder, parts, positions):
    """The elements at `positions` of the concatenation of `parts`, as one vector."""
    result = parts[0]
    for part, vector in enumerate(parts):
        choice = []
        for lane, position in enumerate(positions):
            here = position // LANES == part
            choice.append(LANES + position % LANES if here else lane)
        if part == 0:
            choice = [position % LANES if position < LANES else 0 for position in positions]
        result = builder.shuffle_vector(result, vector, ir.Constant(INTS, choice))
    return result


@intrinsic
def store_transposed(typing_context, array, index, rows):
    """Write the tuple `rows` of 16 vectors as the columns of ``array[index:index + 256]`` seen as a 16×16 matrix."""
    if _lanes_of(array) is not float_lanes or not isinstance(rows, types.UniTuple) or rows.count != LANES:
        return None

    def generate(context, builder, sig, args):
        vectors = [builder.extract_value(args[2], row) for row in range(LANES)]
        for distance in (1, 2, 4, 8):
            vectors = _exchange(builder, vectors, distance)
        for row, vector in enumerate(vectors):
            start = builder.add(args[1], ir.Constant(args[1].type, row * LANES))
            instruction = builder.store(vector, _address(context, builder, sig.args[0], args[0], start, FLOATS))
            instruction.align = 4
        return context.get_dummy_value()

    return types.void(array, index, rows), generate


def _exchange(builder, vectors, distance: int):
    """One butterfly step of a matrix transposition: swap the off-diagonal blocks of size `distance`."""
    result = list(vectors)
    lower = [lane if not lane & distance else LANES + (lane ^ distance) for lane in range(LANES)]
    upper = [lane ^ distance if not lane & distance else LANES + lane for lane in range(LANES)]
    for row in range(LANES):
        if not row & distance:
            a, b = vectors[row], vectors[row | distance]
            result[row] = builder.shuffle_vector(a, b, ir.Constant(INTS, lower))
            result[row | distance] = builder.shuffle_vector(a, b, ir.Constant(INTS, upper))
    return result


# ---- making and converting -------------------------------------------------------------------------------------------


@intrinsic
def broadcast(typing_context, scalar):
    """The same float32 (or integer, taken to int32) in all lanes."""
    if isinstance(scalar, types.Float):
        return float_lanes(types.float32), lambda context, builder, sig, args: _broadcast(builder, args[0])
    if isinstance(scalar, types.Integer):
        return int_lanes(types.int32), lambda context, builder, sig, args: _broadcast(builder, args[0])
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
    return float_lanes(a, b, c), lambda context, builder, sig, args: _fma(builder, *args)


@intrinsic
def fnma(typing_context, a, b, c):
    """c − a·b in one rounding."""
    if not a == b == c == float_lanes:
        return None

    def generate(context, builder, sig, args):
        return _fma(builder, builder.fneg(args[0]), args[1], args[2])

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
    return float_lanes(value), lambda context, builder, sig, args: _call(builder, f"llvm.sqrt.v{LANES}f32", FLOATS, args[0])


@intrinsic
def exp2_scaled(typing_context, value):
    """2^(value·2⁻²³) for −126 < value·2⁻²³ < 127, to a relative error of 1.1e-4; anything below that range.

    A number scaled so has its integer part where a float has its exponent, which saves half of the usual range reduction.
    """
    if value != float_lanes:
        return None

    def generate(context, builder, sig, args):
        fixed = builder.fptosi(args[0], INTS)
        mantissa = builder.or_(builder.and_(fixed, _int_constant(0x007FFFFF)), _int_constant(0x3F800000))
        mantissa = builder.bitcast(mantissa, FLOATS)
        polynomial = _float_constant(_EXP2_COEFFICIENTS[0])
        for coefficient in _EXP2_COEFFICIENTS[1:]:
            polynomial = _fma(builder, polynomial, mantissa, _float_constant(coefficient))
        exponent = builder.and_(fixed, _int_constant(-0x00800000))
        return builder.bitcast(builder.add(builder.bitcast(polynomial, INTS), exponent), FLOATS)

    return float_lanes(value), generate


@intrinsic
def log2(typing_context, value):
    """Base-2 logarithm of normal positive floats, to an absolute error of 2e-7 around 1."""
    if value != float_lanes:
        return None

    def generate(context, builder, sig, args):
        # value = mantissa·2^exponent with the mantissa in [√½, √2); log m = 2 artanh((m − 1) / (m + 1)).
        root_half = _int_constant(0x3F3504F3)
        bits = builder.bitcast(args[0], INTS)
        exponent = builder.ashr(builder.sub(bits, root_half), _int_constant(23))
        mantissa = builder.bitcast(builder.sub(bits, builder.shl(exponent, _int_constant(23))), FLOATS)
        one = _float_constant(1.0)
        ratio = builder.fdiv(builder.fsub(mantissa, one), builder.fadd(mantissa, one))
        square = builder.fmul(ratio, ratio)
        series = _float_constant(2 / np.log(2) / 9)
        for odd in (7, 5, 3, 1):
            series = _fma(builder, series, square, _float_constant(2 / np.log(2) / odd))
        return _fma(builder, series, ratio, builder.sitofp(exponent, FLOATS))

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
