"""Between arrays and sixteen-lane vectors (see `core.render.cpu.lanes`), as numba intrinsics. Indices are not checked."""

from __future__ import annotations

from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from core.render.cpu.lanes import (
    FLOATS,
    I32,
    I64,
    INTS,
    LANES,
    address_of,
    broadcast_value,
    float_lanes,
    int_lanes,
    lanes_of,
)


@intrinsic
def load(typing_context, array, index):
    """Lanes from ``array[index:index + 16]``; any alignment."""
    lanes = lanes_of(array)
    if lanes is None or not isinstance(index, types.Integer):
        return None

    def generate(context, builder, sig, args):
        value = builder.load(address_of(context, builder, sig.args[0], args[0], args[1], lanes.llvm_type))
        value.align = 4
        return value

    return lanes(array, index), generate


@intrinsic
def store(typing_context, array, index, value):
    """Write lanes to ``array[index:index + 16]``; any alignment."""
    lanes = lanes_of(array)
    if lanes is None or lanes != value or not isinstance(index, types.Integer):
        return None

    def generate(context, builder, sig, args):
        instruction = builder.store(args[2], address_of(context, builder, sig.args[0], args[0], args[1], lanes.llvm_type))
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
    if lanes_of(array) is not float_lanes or not isinstance(index, types.Integer):
        return None

    def generate(context, builder, sig, args):
        data = context.make_array(sig.args[0])(context, builder, value=args[0]).data
        return broadcast_value(builder, builder.load(builder.gep(data, [args[1]])))

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
        value = builder.load(address_of(context, builder, sig.args[0], args[0], args[1], I64))
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
        instruction = builder.store(value, address_of(context, builder, sig.args[0], args[0], args[1], value.type))
        instruction.align = 1
        return context.get_dummy_value()

    return types.void(array, types.int64, value if lanes else types.int64), generate


@intrinsic
def store_block(typing_context, array, index, pitch, value):
    """Write lanes as a block of 4 rows of 4: lane 4·r + c goes to ``array[index + r·pitch + c]``."""
    if lanes_of(array) is None or lanes_of(array) != value:
        return None

    def generate(context, builder, sig, args):
        quad = ir.VectorType(value.llvm_type.element, 4)
        for row in range(4):
            part = builder.shuffle_vector(args[3], args[3], ir.Constant(ir.VectorType(I32, 4), [4 * row + c for c in range(4)]))
            start = builder.add(args[1], builder.mul(args[2], ir.Constant(args[2].type, row)))
            instruction = builder.store(part, address_of(context, builder, sig.args[0], args[0], start, quad))
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
    if lanes_of(array) is not float_lanes or not isinstance(stride, literal) or not isinstance(component, literal):
        return None
    step, first = stride.literal_value, component.literal_value

    def generate(context, builder, sig, args):
        parts = []
        for part in range(step):
            start = builder.add(args[1], ir.Constant(args[1].type, part * LANES))
            value = builder.load(address_of(context, builder, sig.args[0], args[0], start, FLOATS))
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
    if lanes_of(array) is not float_lanes or not isinstance(rows, types.UniTuple) or rows.count != LANES:
        return None

    def generate(context, builder, sig, args):
        vectors = [builder.extract_value(args[2], row) for row in range(LANES)]
        for distance in (1, 2, 4, 8):
            vectors = _exchange(builder, vectors, distance)
        for row, vector in enumerate(vectors):
            start = builder.add(args[1], ir.Constant(args[1].type, row * LANES))
            instruction = builder.store(vector, address_of(context, builder, sig.args[0], args[0], start, FLOATS))
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
