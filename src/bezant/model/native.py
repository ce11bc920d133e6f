"""C functions that compiled kernels call by name.

SHA-256 comes from the libcrypto that Python's own `hashlib` is linked with (it uses the
CPU's SHA instructions: 0.035 µs a block against 0.195 in compiled Python), Ed25519 and the
AEAD from the libsodium inside PyNaCl, secp256k1 from the libsecp256k1 inside coincurve. Each
address is registered with LLVM under a name of ours, so kernels stay cacheable on disk. Where
Python carries its libcrypto in a way that hides the symbol, the compiled Python of `sha256` takes
its place with the same results.
"""

from __future__ import annotations

import ctypes
from typing import Any

import coincurve._libsecp256k1 as _secp256k1
import llvmlite.binding as llvm
import nacl._sodium as _sodium
import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic

from bezant.model.sha256 import compress_in_c

SHA256_SYMBOL = "bezant_sha256_block"
VERIFY_SYMBOL = "bezant_ed25519_open"
SEAL_SYMBOL = "bezant_aegis256_seal"
OPEN_SYMBOL = "bezant_aegis256_open"
UNWRAP_SYMBOL = "bezant_xchacha20poly1305_open"
PARSE_SYMBOL = "bezant_secp256k1_xonly_parse"
SCHNORR_SYMBOL = "bezant_secp256k1_schnorr_verify"


ENTRY: dict[str, Any] = {"nogil": True, "_nrt": False, "no_cfunc_wrapper": True, "cache": True}
"""How kernels compile that Python calls: kept on disk, without the GIL, and without reference counts on the
arrays they are given. Counting costs more than all the arithmetic of a payment (2.4 µs against 0.3), and
nothing is allocated in a kernel: its scratch comes from outside."""
KERNEL: dict[str, Any] = {
    "nogil": True,
    "_nrt": False,
    "forceinline": True,
    "no_cfunc_wrapper": True,
    "no_cpython_wrapper": True,
}
"""The same for what kernels alone call: inlined there, and with no way in from Python, which would unpack
every table of the ledger and takes longer to compile than most of these functions. Python that calls one
ends the process; tests look through the sources for it, and call such a kernel by `within_reach`."""
RARE: dict[str, Any] = {**KERNEL, "forceinline": False}
"""The same for what is seldom asked: called, not inlined, which halves the time that compiling takes."""


def _sha256_address() -> int:
    try:
        import _hashlib

        transform = ctypes.CDLL(_hashlib.__file__).SHA256_Transform
    except (ImportError, AttributeError, OSError):
        transform = None
    address = ctypes.cast(transform, ctypes.c_void_p).value if transform is not None else None
    return address or compress_in_c().address


def _address(library: Any, name: str) -> int:
    return int(library.ffi.cast("uintptr_t", library.ffi.addressof(library.lib, name)))


llvm.add_symbol(SHA256_SYMBOL, _sha256_address())
llvm.add_symbol(VERIFY_SYMBOL, _address(_sodium, "crypto_sign_open"))
llvm.add_symbol(SEAL_SYMBOL, _address(_sodium, "crypto_aead_aegis256_encrypt"))
llvm.add_symbol(OPEN_SYMBOL, _address(_sodium, "crypto_aead_aegis256_decrypt"))
llvm.add_symbol(UNWRAP_SYMBOL, _address(_sodium, "crypto_aead_xchacha20poly1305_ietf_decrypt"))
llvm.add_symbol(PARSE_SYMBOL, _address(_secp256k1, "secp256k1_xonly_pubkey_parse"))
llvm.add_symbol(SCHNORR_SYMBOL, _address(_secp256k1, "secp256k1_schnorrsig_verify"))

_context = _secp256k1.lib.secp256k1_context_create(_secp256k1.lib.SECP256K1_CONTEXT_NONE)
SECP256K1_CONTEXT = int(_secp256k1.ffi.cast("uintptr_t", _context))
"""Ours, never destroyed and only read, so any number of threads may verify with it. Its address differs
from one process to the next: kernels are handed it and must not be compiled with it."""


def _take(typing, taken, count):
    def add(context, builder, signature, given):
        place = context.make_array(signature.args[0])(context, builder, given[0])
        return builder.atomic_rmw("add", place.data, given[1], "monotonic")

    return types.int64(taken, types.int64), add


take: Any = intrinsic(_take)
"""(taken (1,) int64, count): add the one to the other and return what it was before, in one step between
threads: so several that run one kernel over one array share its rows, and whoever is free takes the next."""


LINE = 64
"""Bytes of memory that a processor fetches at once."""


def _prefetch(typing, address):
    def ask(context, builder, signature, given):
        pointer, number = ir.IntType(8).as_pointer(), ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [pointer, number, number, number])
        hint = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
        # To be written, to be used again, and data.
        builder.call(hint, [builder.inttoptr(given[0], pointer), number(1), number(3), number(1)])
        return context.get_dummy_value()

    return types.void(types.uintp), ask


prefetch: Any = intrinsic(_prefetch)
"""(address): have the processor fetch this line of memory while it goes on with something else."""


@njit(inline="always", **KERNEL)
def fetch_at(table, row, offset):
    """Ask for the memory of a row of a table or index, from a byte of it on."""
    prefetch(table.ctypes.data + np.uint64(row) * np.uint64(table.strides[0]) + np.uint64(offset))


sha256_block = types.ExternalFunction(SHA256_SYMBOL, types.void(types.uintp, types.uintp))
"""(state, block): one compression; `state` points to at least 28 uint32, the first 8 are the hash."""

copy_memory = types.ExternalFunction("memcpy", types.uintp(types.uintp, types.uintp, types.uintp))
"""(to, from, bytes): the C library's own, which a compiled loop over bytes does not come near."""

ed25519_open = types.ExternalFunction(
    VERIFY_SYMBOL, types.int32(types.uintp, types.uintp, types.uintp, types.uint64, types.uintp)
)
"""(message out, length out, signed message, its length, public key) -> 0 when authentic."""

xonly_parse = types.ExternalFunction(PARSE_SYMBOL, types.int32(types.uintp, types.uintp, types.uintp))
"""(context, parsed key out 64, x coordinate 32) -> 1 where there is such a point."""

schnorr_verify = types.ExternalFunction(
    SCHNORR_SYMBOL, types.int32(types.uintp, types.uintp, types.uintp, types.uint64, types.uintp)
)
"""(context, signature 64, message, its length, parsed key) -> 1 when authentic (BIP-340)."""

aead_seal = types.ExternalFunction(
    SEAL_SYMBOL,
    types.int32(
        types.uintp,
        types.uintp,
        types.uintp,
        types.uint64,
        types.uintp,
        types.uint64,
        types.uintp,
        types.uintp,
        types.uintp,
    ),
)
"""(out, out length, message, length, associated data, its length, 0, nonce 32, key 32) -> 0."""

_OPENING = types.int32(
    types.uintp,
    types.uintp,
    types.uintp,
    types.uintp,
    types.uint64,
    types.uintp,
    types.uint64,
    types.uintp,
    types.uintp,
)
aead_open = types.ExternalFunction(OPEN_SYMBOL, _OPENING)
"""(out, out length, 0, sealed, length, associated data, its length, nonce 32, key 32) -> 0 when authentic."""

xchacha_open = types.ExternalFunction(UNWRAP_SYMBOL, _OPENING)
"""The same for XChaCha20-Poly1305, whose nonce has 24 bytes."""
