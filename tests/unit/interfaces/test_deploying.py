"""Members for machines of their own: folders that know where their peers and they themselves will be."""

from __future__ import annotations

import configparser
import tomllib
from pathlib import Path

import pytest

from bezant.config import load_config
from bezant.errors import ConfigError, InputError
from bezant.folder import DataFolder
from bezant.interfaces.network.control import Network
from bezant.interfaces.network.deploying import UNIT, deploy

AT, PROGRAM = Path("/srv/bezant"), Path("/opt/bezant/bin/bezant")
HOSTS = ["10.0.0.1", "bank-b.example", "10.0.0.3"]


def consensus(folder: Path) -> dict[str, dict[str, str]]:
    return tomllib.loads((folder / "consensus" / "config" / "config.toml").read_text())


def test_each_member_knows_its_place_and_its_peers(tmp_path: Path) -> None:
    folder = tmp_path / "deploy"
    plan = deploy(folder, HOSTS, at=AT, program=PROGRAM)
    assert [one.host for one in plan.members] == HOSTS
    for place, member in enumerate(plan.members):
        data = folder / member.name
        settings = consensus(data)
        assert settings["proxy_app"] == "unix:///srv/bezant/abci.sock"
        assert settings["p2p"]["laddr"] == "tcp://0.0.0.0:26656"
        assert settings["rpc"]["laddr"] == "tcp://127.0.0.1:26657"
        peers = [peer.partition("@")[2] for peer in settings["p2p"]["persistent_peers"].split(",")]
        assert peers == [f"{host}:26656" for host in HOSTS if host != HOSTS[place]]
        config = load_config(data)
        assert (config.chain.engine, config.chain.rpc) == ("cometbft", "http://127.0.0.1:26657")
        assert (config.http.host, config.http.port) == ("127.0.0.1", 8790)
        opened = DataFolder(data)
        assert len(opened.genesis.validators) == 3
        opened.close()
        unit = configparser.ConfigParser(strict=False)
        unit.optionxform = str  # type: ignore[assignment, method-assign]
        unit.read_string((data / UNIT).read_text())
        assert unit["Service"]["ExecStart"] == "/opt/bezant/bin/bezant network node --data /srv/bezant"
        assert unit["Service"]["ReadWritePaths"] == "/srv/bezant"


def test_nothing_of_it_is_started_from_here(tmp_path: Path) -> None:
    deploy(tmp_path / "deploy", HOSTS, at=AT, program=PROGRAM)
    with pytest.raises(ConfigError, match="has no network"):
        Network(tmp_path / "deploy")


@pytest.mark.parametrize(
    ("hosts", "at", "word"),
    [
        (["10.0.0.1", "10.0.0.1"], AT, "twice"),
        (["bank a"], AT, "no host name"),
        (["-x"], AT, "no host name"),
        (["a,b"], AT, "no host name"),
        (HOSTS, Path("srv/bezant"), "absolute path"),
        (HOSTS, Path("/srv/be zant"), "absolute path"),
        ([], AT, "1 to 16"),
    ],
)
def test_what_cannot_be_a_host_or_a_place_is_refused_before_anything_is_made(
    tmp_path: Path, hosts: list[str], at: Path, word: str
) -> None:
    with pytest.raises(InputError, match=word):
        deploy(tmp_path / "deploy", hosts, at=at, program=PROGRAM)
    assert not (tmp_path / "deploy").exists()
