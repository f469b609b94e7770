"""The basis blend in integers, for processors that multiply and add pairs of 16-bit numbers in one instruction.

Converting 8-bit numbers to floats costs more than multiplying them: the float blend (`core.avatar.kernels.blend_blocks`) is
bound by arithmetic, not by memory. Here two planes are interleaved byte by byte, widened to 16 bits, and multiplied by a pair
of 16-bit weights that share one scale per block; the sums are exact in 32 bits (127 · 32767 · 256 pairs stay below 2³¹).
The rounding of the weights is at most 1/65534 of the largest one of the block.
"""

from __future__ import annotations

import numpy as np
from llvmlite import binding, ir
from numba import config, float32, njit
from numba.core import types
from numba.extending import intrinsic
from numpy.typing import NDArray

_I8, _I16, _I32 = ir.IntType(8), ir.IntType(16), ir.IntType(32)
_INSTRUCTIONS = {16: "llvm.x86.avx512.pmaddw.d.512", 8: "llvm.x86.avx2.pmadd.wd"}
_GROUP = 8  # pairs that are added per pass over the sums
_LARGEST_WEIGHT = 32767
MAX_PAIRS = 256


def _lanes() -> int:
    """Sums that one instruction makes on the processor numba compiles for: 16, 8, or 0 where there is no such instruction."""
    if config.CPU_FEATURES or config.CPU_NAME:
        features = set((config.CPU_FEATURES or "").split(","))
        wide, narrow = "+avx512bw" in features, "+avx2" in features
    else:
        host = binding.get_host_cpu_features()
        wide, narrow = host.get("avx512bw", False), host.get("avx2", False)
    return 16 if wide else 8 if narrow else 0


LANES = _lanes()


def interleave_pairs(planes: NDArray[np.int8]) -> NDArray[np.int8]:
    """Planes [B, P, L] -> [B, ⌈P/2⌉, 2L]: byte j of planes 2q and 2q+1 side by side; a missing last plane is zero."""
    blocks, count, length = planes.shape
    if count % 2:
        planes = np.concatenate([planes, np.zeros((blocks, 1, length), np.int8)], 1)
    pairs = planes.reshape(blocks, -1, 2, length).transpose(0, 1, 3, 2)
    return np.ascontiguousarray(pairs).reshape(blocks, -1, 2 * length)


@intrinsic
def _add_products(typing_context, sums, start, pairs, offsets, weights):
    """sums[start + j] += Σ_k pairs[o_k + 2(start + j)] · low half of w_k + the byte after it · high half of w_k.

    `offsets` and `weights` are tuples of `_GROUP` numbers o_k and w_k.
    """
    signature = types.void(sums, types.intp, pairs, types.UniTuple(types.intp, _GROUP), types.UniTuple(types.int32, _GROUP))
    sums_type, words_type, bytes_type = (ir.VectorType(_I32, LANES), ir.VectorType(_I16, 2 * LANES),
                                         ir.VectorType(_I8, 2 * LANES))

    def generate(context, builder, signature, arguments):
        sums_array, index, pairs_array, offsets, weights = arguments
        address = context.make_array(signature.args[0])(context, builder, value=sums_array).data
        address = builder.bitcast(builder.gep(address, [index]), sums_type.as_pointer())
        data = context.make_array(signature.args[2])(context, builder, value=pairs_array).data
        name = _INSTRUCTIONS[LANES]
        multiply = builder.module.globals.get(name) or ir.Function(
            builder.module, ir.FunctionType(sums_type, [words_type, words_type]), name)
        undefined = ir.Constant(sums_type, ir.Undefined)
        total = builder.load(address, align=4)
        for k in range(_GROUP):
            offset, weight = builder.extract_value(offsets, k), builder.extract_value(weights, k)
            place = builder.gep(data, [builder.add(offset, builder.add(index, index))])
            values = builder.sext(builder.load(builder.bitcast(place, bytes_type.as_pointer()), align=1), words_type)
            one = builder.insert_element(undefined, weight, ir.Constant(_I32, 0))
            both = builder.shuffle_vector(one, undefined, ir.Constant(sums_type, [0] * LANES))
            total = builder.add(total, builder.call(multiply, [values, builder.bitcast(both, words_type)]))
        builder.store(total, address, align=4)
        return context.get_dummy_value()

    return signature, generate


@njit(cache=True, nogil=True)
def blend_pairs(pairs, steps, component, coefficients, blocks, threshold, sums, out):
    """As `core.avatar.kernels.blend_blocks`, on interleaved planes.

    Args:
        pairs: [B, Q, 2L] int8 from `interleave_pairs`, L a multiple of 16.
        steps: [B, P] float32;  component: [P] int32;  coefficients: [K] float32;  blocks: [B] int32.
        threshold: smallest contribution that counts, in units of the attribute.
        sums: [L] int32, scratch.
        out: [blocks, L] float32.
    """
    plane_count, length = steps.shape[1], pairs.shape[2] // 2
    weight = np.zeros(2 * pairs.shape[1], np.float32)
    offset = np.empty(pairs.shape[1] + _GROUP, np.intp)
    packed = np.empty(pairs.shape[1] + _GROUP, np.int32)
    for b in range(pairs.shape[0]):
        largest = float32(0.0)
        for p in range(plane_count):
            weight[p] = coefficients[component[p]] * steps[b, p]
            largest = max(largest, abs(weight[p]))
        target = out[blocks[b]]
        if not largest * float32(127.0) > threshold:
            target[:] = float32(0.0)
            continue
        scale = largest / float32(_LARGEST_WEIGHT)
        count = 0
        for q in range(pairs.shape[1]):
            low, high = weight[2 * q], weight[2 * q + 1]
            if max(abs(low), abs(high)) * float32(127.0) > threshold:
                offset[count] = q * 2 * length
                packed[count] = np.int32((np.int32(round(high / scale)) << 16) | (np.int32(round(low / scale)) & 0xFFFF))
                count += 1
        while count % _GROUP:
            offset[count] = offset[0]
            packed[count] = 0
            count += 1
        flat = pairs[b].reshape(-1)
        sums[:] = 0
        for g in range(0, count, _GROUP):
            offsets = (offset[g], offset[g + 1], offset[g + 2], offset[g + 3],
                       offset[g + 4], offset[g + 5], offset[g + 6], offset[g + 7])
            weights = (packed[g], packed[g + 1], packed[g + 2], packed[g + 3],
                       packed[g + 4], packed[g + 5], packed[g + 6], packed[g + 7])
            for j in range(0, length, LANES):
                _add_products(sums, j, flat, offsets, weights)
        for j in range(length):
            target[j] = scale * float32(sums[j])
