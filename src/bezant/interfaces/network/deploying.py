"""A network whose members run on machines of their own: a folder for each, and the unit that runs it there.

::

    deploy/node1/                      becomes the data folder of the first host
    deploy/node1/bezant-member.service goes to /etc/systemd/system there

Every folder has secret keys: each goes to its own host over a channel that you trust, and is deleted here.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from bezant.errors import InputError
from bezant.interfaces.network.founding import found
from bezant.interfaces.network.plan import Member, Plan

UNIT = "bezant-member.service"
HTTP_PORT, RPC_PORT, PEER_PORT = 8790, 26657, 26656
_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?")


def deploy(folder: Path, hosts: Sequence[str], *, at: Path, program: Path) -> Plan:
    """Make a folder for a member on each host; nothing is started, and nothing is sent.

    `hosts` are names or IPv4 addresses under which members find each other; `at` is the data folder there,
    and `program` the ``bezant`` that runs it, both absolute. Raises: ConfigError, InputError.
    """
    for host in hosts:
        if not _HOST.fullmatch(host):
            raise InputError(f"{host[:60]!r} is no host name and no IPv4 address", param="host")
    if len(set(hosts)) != len(hosts):
        raise InputError("a host is named twice; each member needs a machine of its own", param="host")
    for path, name in ((at, "at"), (program, "program")):
        if not path.is_absolute() or re.search(r"[^\w/.-]", str(path)):
            raise InputError(f"{path} has to be an absolute path of letters, digits and /.-_", param=name)
    members = [
        Member(f"node{place}", HTTP_PORT, RPC_PORT, PEER_PORT, host) for place, host in enumerate(hosts, 1)
    ]
    plan = found(folder, len(hosts), members=members, at=at)
    for member in members:
        (folder / member.name / UNIT).write_text(unit_of(member, at, program), "utf-8")
    return plan


def unit_of(member: Member, at: Path, program: Path) -> str:
    """Return the systemd unit that runs a member on its host.

    The member starts its two processes again by itself and stops for good where that would not help, so
    systemd starts it again only after a signal that nobody asked for.
    """
    return f"""# Runs {member.name} of a Bezant network on {member.host}.
[Unit]
Description=Bezant, {member.name}: node, gateway and validator
Wants=network-online.target
After=network-online.target

[Service]
User=bezant
ExecStart={program} network node --data {at}
Environment=NUMBA_CACHE_DIR={at}/kernels
Restart=on-abnormal
RestartSec=5
TimeoutStopSec=90
LimitNOFILE=65536
UMask=0077
NoNewPrivileges=yes
PrivateTmp=yes
ProtectHome=yes
ProtectSystem=strict
ReadWritePaths={at}

[Install]
WantedBy=multi-user.target
"""
