"""What a network on one machine consists of, and where its parts are: ``network.json`` of its folder.

::

    network.json      the members, and the ports they have
    node1/ node2/ …   a data folder each, with CometBFT's home in consensus/
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from bezant.errors import ConfigError

PLAN = "network.json"
LOOPBACK = "127.0.0.1"


class Member(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One validator with its gateway; `host` is where its peers find it, its other ports are on loopback."""

    name: str
    http_port: int
    rpc_port: int
    peer_port: int
    host: str = LOOPBACK


class Plan(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`genesis_hash` is the network's id, hexadecimal."""

    genesis_hash: str
    members: tuple[Member, ...]

    def member(self, name: str) -> Member:
        """Return a member by its name or number. Raises: ConfigError."""
        for place, one in enumerate(self.members, 1):
            if name in (one.name, str(place)):
                return one
        known = ", ".join(one.name for one in self.members)
        raise ConfigError(f"there is no member {name[:40]!r}; there are {known}", code="member_unknown")


def read_plan(folder: Path) -> Plan:
    """Return the plan of a network's folder. Raises: ConfigError."""
    try:
        return msgspec.json.decode((folder / PLAN).read_bytes(), type=Plan)
    except FileNotFoundError:
        raise ConfigError(
            f"{folder} has no network; found one with: bezant network up --dir {folder}", code="no_network"
        ) from None
    except msgspec.DecodeError as error:
        raise ConfigError(f"{folder / PLAN} cannot be read: {error}", code="no_network") from None


def write_plan(folder: Path, plan: Plan) -> None:
    (folder / PLAN).write_bytes(msgspec.json.format(msgspec.json.encode(plan), indent=1) + b"\n")
