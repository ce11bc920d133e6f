"""SHA-256 itself: of one block, where libcrypto has none to offer, and of LANES blocks at once.

A hash waits for itself: of the 36 ns that a block takes with the CPU's own SHA instructions, most
is latency. So many messages of one length go side by side, one in each lane of a vector: 12 ns a
block where a vector is 512 bits wide, 30 where it is 256.
"""

from __future__ import annotations

from functools import cache
from math import isqrt
from typing import Any

import numpy as np
from llvmlite import ir
from numba import carray, cfunc, njit, types  # type: ignore[attr-defined]
from numba.core import cgutils
from numba.core.registry import cpu_target
from numba.extending import intrinsic

LANES = 16
"""Messages that are hashed side by side."""


def _primes(count: int) -> list[int]:
    found: list[int] = []
    candidate = 2
    while len(found) < count:
        if all(candidate % prime for prime in found):
            found.append(candidate)
        candidate += 1
    return found


def _cube_root(value: int) -> int:
    guess = 1 << (value.bit_length() // 3 + 1)
    while True:
        better = (2 * guess + value // (guess * guess)) // 3
        if better >= guess:
            return guess
        guess = better


# FIPS 180-4 §4.2.2 and §5.3.3: the first 32 fractional bits of the roots of the first primes.
SHA256_START = np.array([isqrt(p << 64) & 0xFFFFFFFF for p in _primes(8)], np.uint32)
_ROUND = np.array([_cube_root(p << 96) & 0xFFFFFFFF for p in _primes(64)], np.uint32)


@njit(inline="always")
def _rotate(x, n):
    return (x >> np.uint32(n)) | (x << np.uint32(32 - n))


@njit(nogil=True)
def compress(h, block):
    """One SHA-256 block, FIPS 180-4 §6.2.2; `h` (8,) uint32 in and out, `block` (64,) uint8."""
    w = np.empty(64, np.uint32)
    for i in range(16):
        w[i] = (
            (np.uint32(block[4 * i]) << np.uint32(24))
            | (np.uint32(block[4 * i + 1]) << np.uint32(16))
            | (np.uint32(block[4 * i + 2]) << np.uint32(8))
            | np.uint32(block[4 * i + 3])
        )
    for i in range(16, 64):
        s0 = _rotate(w[i - 15], 7) ^ _rotate(w[i - 15], 18) ^ (w[i - 15] >> np.uint32(3))
        s1 = _rotate(w[i - 2], 17) ^ _rotate(w[i - 2], 19) ^ (w[i - 2] >> np.uint32(10))
        w[i] = np.uint32(w[i - 16] + s0 + w[i - 7] + s1)
    a, b, c, d, e, f, g, last = h[0], h[1], h[2], h[3], h[4], h[5], h[6], h[7]
    for i in range(64):
        s1 = _rotate(e, 6) ^ _rotate(e, 11) ^ _rotate(e, 25)
        t1 = np.uint32(last + s1 + ((e & f) ^ (~e & g)) + _ROUND[i] + w[i])
        s0 = _rotate(a, 2) ^ _rotate(a, 13) ^ _rotate(a, 22)
        t2 = np.uint32(s0 + ((a & b) ^ (a & c) ^ (b & c)))
        last, g, f, e = g, f, e, np.uint32(d + t1)
        d, c, b, a = c, b, a, np.uint32(t1 + t2)
    h[0] += a
    h[1] += b
    h[2] += c
    h[3] += d
    h[4] += e
    h[5] += f
    h[6] += g
    h[7] += last


@cache
def compress_in_c() -> Any:
    """Return `compress` as a C function: compiled only where it has to take the place of libcrypto's."""

    @cfunc(types.void(types.CPointer(types.uint32), types.CPointer(types.uint8)))
    def entry(h, block):
        compress(carray(h, 8), carray(block, 64))

    return entry


class _Lanes:
    """The arithmetic of FIPS 180-4 on vectors of one word from each of LANES messages."""

    words = ir.VectorType(ir.IntType(32), LANES)

    def __init__(self, builder: Any) -> None:
        self._builder = builder
        module, words = builder.module, self.words
        self._funnel = cgutils.get_or_insert_function(
            module, ir.FunctionType(words, [words] * 3), f"llvm.fshr.v{LANES}i32"
        )
        self._swap = cgutils.get_or_insert_function(
            module, ir.FunctionType(words, [words]), f"llvm.bswap.v{LANES}i32"
        )

    def repeated(self, value: int) -> Any:
        return ir.Constant(self.words, [value] * LANES)

    def spread(self, value: Any) -> Any:
        """Return a word in every lane."""
        nothing, index = ir.Constant(self.words, ir.Undefined), ir.IntType(32)
        first = self._builder.insert_element(nothing, value, index(0))
        return self._builder.shuffle_vector(first, nothing, ir.Constant(self.words, [0] * LANES))

    def sum(self, *terms: Any) -> Any:
        total = terms[0]
        for term in terms[1:]:
            total = self._builder.add(total, term)
        return total

    def sigma(self, x: Any, *turns: int, shift: int = 0) -> Any:
        """Return the exclusive or of x turned to the right by each of `turns`, and shifted by `shift`."""
        parts = [self._builder.call(self._funnel, [x, x, self.repeated(turn)]) for turn in turns]
        if shift:
            parts.append(self._builder.lshr(x, self.repeated(shift)))
        mixed = parts[0]
        for part in parts[1:]:
            mixed = self._builder.xor(mixed, part)
        return mixed

    def read(self, block: Any, stride: Any) -> list[Any]:
        """Return the 16 words of a block of each message, which lie `stride` bytes apart."""
        rows = []
        for _ in range(LANES):
            row = self._builder.load(self._builder.inttoptr(block, self.words.as_pointer()), align=1)
            rows.append(self._builder.call(self._swap, [row]))
            block = self._builder.add(block, stride)
        # Rows become columns: squares of 1, 2, 4 and 8 words change places across the diagonal.
        for side in (1, 2, 4, 8):
            upper = [k - side + LANES if k & side else k for k in range(LANES)]
            lower = [k + LANES if k & side else k + side for k in range(LANES)]
            for i in range(LANES):
                if not i & side:
                    pair = rows[i], rows[i + side]
                    rows[i] = self._builder.shuffle_vector(*pair, ir.Constant(self.words, upper))
                    rows[i + side] = self._builder.shuffle_vector(*pair, ir.Constant(self.words, lower))
        return rows

    def schedule(self, w: list[Any]) -> list[Any]:
        """Return the 16 words of the message schedule that follow `w`, §6.2.2 step 1."""
        w = list(w)
        for i in range(16):
            before, behind = w[(i + 1) % 16], w[(i + 14) % 16]
            s0 = self.sigma(before, 7, 18, shift=3)
            s1 = self.sigma(behind, 17, 19, shift=10)
            w[i] = self.sum(w[i], s0, w[(i + 9) % 16], s1)
        return w

    def rounds(self, working: list[Any], w: list[Any], constants: Any) -> list[Any]:
        """Return the working variables after 16 rounds, §6.2.2 step 3; `constants` points to theirs."""
        builder = self._builder
        a, b, c, d, e, f, g, h = working
        for i in range(16):
            constant = builder.load(builder.gep(constants, [ir.IntType(32)(i)]))
            choice = builder.xor(g, builder.and_(e, builder.xor(f, g)))
            majority = builder.or_(builder.and_(a, b), builder.and_(c, builder.or_(a, b)))
            t1 = self.sum(h, self.sum(w[i], self.spread(constant)), choice, self.sigma(e, 6, 11, 25))
            t2 = self.sum(self.sigma(a, 2, 13, 22), majority)
            h, g, f, e = g, f, e, self.sum(d, t1)
            d, c, b, a = c, b, a, self.sum(t1, t2)
        return [a, b, c, d, e, f, g, h]


def _compress_lanes(typing, state, block, stride):
    def compress(context, builder, signature, given):
        lanes, number = _Lanes(builder), ir.IntType(64)
        kept = builder.inttoptr(given[0], lanes.words.as_pointer())
        places = [builder.gep(kept, [ir.IntType(32)(i)]) for i in range(8)]
        start = [builder.load(place, align=4) for place in places]
        kind = ir.ArrayType(ir.IntType(32), 64)
        table = cgutils.global_constant(builder, "sha256_rounds", ir.Constant(kind, _ROUND.tolist()))
        # 64 rounds as a loop of four turns: it compiles in a third of the time that 64 in a row take. What
        # the last turn schedules is not used.
        values = start + lanes.read(given[1], given[2])
        before = builder.block
        loop, after = builder.append_basic_block("turn"), builder.append_basic_block("done")
        builder.branch(loop)
        builder.position_at_end(loop)
        turn, carried = builder.phi(number), [builder.phi(lanes.words) for _ in values]
        constants = builder.gep(table, [number(0), builder.mul(turn, number(16))])
        turned = lanes.rounds(carried[:8], carried[8:], constants) + lanes.schedule(carried[8:])
        following = builder.add(turn, number(1))
        came, goes_on = [number(0), *values], [following, *turned]
        for phi, first, later in zip([turn, *carried], came, goes_on, strict=True):
            phi.add_incoming(first, before)
            phi.add_incoming(later, loop)
        builder.cbranch(builder.icmp_unsigned("<", following, number(4)), loop, after)
        builder.position_at_end(after)
        for place, old, new in zip(places, start, turned[:8], strict=True):
            builder.store(builder.add(old, new), place, align=4)
        return context.get_dummy_value()

    return types.void(types.uintp, types.uintp, types.uintp), compress


compress_lanes: Any = intrinsic(_compress_lanes)
"""(state, block, stride): one compression for each of LANES messages, whose blocks lie `stride` bytes apart;
`state` points to uint32 (8, LANES): the first word of every message's hash, then the second, and so on."""

_IS_WIDE = "+avx2" in cpu_target.target_context.codegen().magic_tuple()[2].split(",")
WORTH_LANES = 5 if _IS_WIDE else LANES + 1
"""So many messages are hashed sooner in lanes than one by one: five of 16 lanes cost what five single ones do
in wide vectors, and vectors of 128 bits are slower than libcrypto. Kernels are kept for a kind of processor,
and compiled anew for another."""
