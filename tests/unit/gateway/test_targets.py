"""Webhooks never reach into the node's own network."""

from __future__ import annotations

import socket
from typing import Any

import pytest

from bezant.errors import InputError
from bezant.gateway.targets import check_url, resolve_target

PRIVATE = [
    "127.0.0.1",
    "10.1.2.3",
    "172.16.0.1",
    "192.168.1.1",
    "169.254.169.254",
    "100.64.0.1",
    "0.0.0.0",
    "224.0.0.1",
    "255.255.255.255",
    "[::1]",
    "[::]",
    "[fe80::1]",
    "[fd00::1]",
    "[ff02::1]",
    "[::ffff:127.0.0.1]",
    "[2002:7f00:1::]",
    "[64:ff9b::a00:1]",
]


@pytest.mark.parametrize("host", PRIVATE)
def test_a_private_address_is_refused_unless_allowed(host: str) -> None:
    with pytest.raises(InputError) as caught:
        check_url(f"https://{host}/hook", allow_private=False)
    assert (caught.value.code, caught.value.param) == ("url_refused", "url")
    check_url(f"http://{host}/hook", allow_private=True)


@pytest.mark.parametrize(
    "url",
    [
        "http://receiver.example/hook",
        "ftp://receiver.example/",
        "https:///hook",
        "https://user:word@receiver.example/",
        "https://receiver.example/#part",
        "https://receiver.example:0/",
        "https://receiver.example:99999/",
        "https://receiver.example/a b",
        "https://receiver.example/é",
        "https://[::1/",
        "https://receiver.example/" + "a" * 2_048,
        "receiver.example",
        "",
    ],
)
def test_a_url_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(InputError):
        check_url(url, allow_private=False)


def answer_with(monkeypatch: pytest.MonkeyPatch, *addresses: str) -> None:
    def found(host: str, port: int, **_: Any) -> list[tuple[Any, ...]]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in addresses]

    monkeypatch.setattr(socket, "getaddrinfo", found)


def test_the_connection_goes_to_an_address_that_was_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    answer_with(monkeypatch, "93.184.216.34", "93.184.216.35")
    target = resolve_target("https://receiver.example/hook?a=1", allow_private=False)
    assert target.url == "https://93.184.216.34:443/hook?a=1"
    assert (target.host, target.name) == ("receiver.example", "receiver.example")
    target = resolve_target("https://receiver.example:8443", allow_private=False)
    assert (target.url, target.host) == ("https://93.184.216.34:8443/", "receiver.example:8443")


def test_one_private_address_among_several_is_enough_to_refuse(monkeypatch: pytest.MonkeyPatch) -> None:
    answer_with(monkeypatch, "93.184.216.34", "10.0.0.7")
    with pytest.raises(InputError, match=r"resolves to 10\.0\.0\.7"):
        resolve_target("https://receiver.example/hook", allow_private=False)
    assert resolve_target("https://receiver.example/hook", allow_private=True).name == "receiver.example"


def test_other_ways_to_write_an_address_are_resolved_and_then_refused() -> None:
    for host in ("2130706433", "0x7f.1", "127.1"):
        with pytest.raises((InputError, OSError)):
            resolve_target(f"https://{host}/hook", allow_private=False)
