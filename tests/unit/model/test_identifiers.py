from __future__ import annotations

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bezant.errors import InputError
from bezant.model.identifiers import (
    id_bytes,
    is_uuid7,
    join,
    new_payment_id,
    parse_account_id,
    parse_payment_id,
    payment_time_ms,
    render_id,
    render_payment_id,
    words,
)


@given(st.integers(0, 2**48 - 1), st.integers(0, 2**74 - 1))
def test_payment_ids_are_uuid7_and_carry_their_time(time_ms: int, randomness: int) -> None:
    payment = new_payment_id(time_ms, randomness)
    assert payment_time_ms(payment) == time_ms
    assert is_uuid7(payment)
    uuid = UUID(int=payment)
    assert (uuid.version, uuid.variant) == (7, "specified in RFC 4122")
    assert parse_payment_id(render_payment_id(payment)) == payment


@given(st.integers(0, 2**74 - 1), st.integers(0, 2**74 - 1))
def test_all_of_the_randomness_is_used(one: int, other: int) -> None:
    assert (new_payment_id(5, one) == new_payment_id(5, other)) == (one == other)


def test_the_example_of_rfc_9562() -> None:
    """Appendix A.6: 0x017F22E279B0 milliseconds, rand_a 0xCC3, rand_b 0x18C4DC0C0C07398F."""
    expected = "017f22e2-79b0-7cc3-98c4-dc0c0c07398f"
    assert render_payment_id(new_payment_id(0x017F22E279B0, 0xCC3 << 62 | 0x18C4DC0C0C07398F)) == expected


def test_fresh_ids_differ() -> None:
    assert len({new_payment_id(1) for _ in range(1000)}) == 1000


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "017f22e2-79b0-4cc3-98c4-dc0c0c07398f",
        "017f22e2-79b0-7cc3-18c4-dc0c0c07398f",
        "017f22e2-79b0-7cc3-d8c4-dc0c0c07398f",
        "017f22e2-79b0-7cc3-98c4-dc0c0c07398",
        "00000000-0000-0000-0000-000000000000",
        "é" * 36,
        "1" * 100_000,
    ],
)
def test_what_is_no_uuid7_is_refused(text: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_payment_id(text)
    assert (caught.value.code, caught.value.param) == ("id_malformed", "id")
    assert len(caught.value.message) < 200


@given(st.integers(0, 2**128 - 1))
def test_words_and_bytes_and_hex_come_back(value: int) -> None:
    assert join(*words(value)) == value
    assert id_bytes(value) == b"".join(word.to_bytes(8, "little") for word in words(value))
    assert parse_account_id(render_id(value)) == value


@pytest.mark.parametrize(
    "text",
    ["", "0" * 31, "0" * 33, "g" * 32, "0x" + "0" * 30, "-" + "0" * 31, " " + "0" * 31, "_0" * 16, "٣" * 32],
)
def test_what_is_no_account_is_refused(text: str) -> None:
    with pytest.raises(InputError):
        parse_account_id(text)
