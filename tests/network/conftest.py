"""A network of four validators on this machine, shared by the tests of a run; each leaves it whole."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest

from bezant.chain.cometbft.program import usable_program
from bezant.errors import BezantError, ConfigError
from bezant.interfaces.network.control import Network
from bezant.interfaces.network.founding import found
from bezant.interfaces.network.plan import Member
from bezant.interfaces.self_test import run_self_test
from bezant.model.genesis import Rules
from bezant.testing.gateways import Gateway

SETTINGS = """
[pipeline]
score = "bezant.testing.scores:ScoreByAmount"

[policy]
control_share = 0.0
"""
"""Reviews are asked for only above a bound: every payment of a test is to settle."""
CHECKPOINT_BLOCKS, SNAPSHOT_BLOCKS = 10, 20
WAIT_S = 60.0


def until(holds: Callable[[], bool], what: str, seconds: float = WAIT_S) -> None:
    """Return once something holds; fail where it never does. Processes tell no other way."""
    end = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > end:
            pytest.fail(f"after {seconds:.0f} s still not: {what}")
        time.sleep(0.05)


class Four:
    """The network under test, its gateways, and two accounts with money at two of them."""

    def __init__(self, network: Network) -> None:
        self.network = network
        self.gateways = [Gateway(network, member) for member in network.members]
        first, second = self.gateways[:2]
        self.alice = first.account("100000.00")
        self.bob = second.account()
        funded = first.pay(self.alice, self.bob, "900.00")
        assert funded.status_code == 201, funded.text

    def height(self, member: Member) -> int:
        return int(self.network.block(member)["height"])

    def heal(self) -> None:
        """Bring back whoever is away, and wait until all are equally far."""
        network = self.network
        away = [one for one in network.members if not network.pids(one)]
        network.start(away)
        network.wait_ready(network.members, WAIT_S)
        self.settle()

    def settle(self) -> None:
        """Wait until every member has the same last block."""

        def level() -> bool:
            try:
                return len({self.height(one) for one in self.network.members}) == 1
            except BezantError:
                return False

        until(level, "every member has the same last block")

    def check_one_history(self, members: tuple[Member, ...] = ()) -> int:
        """Assert that app hash and state root are the same at every height on every member; return how many
        state roots there were."""
        members = members or self.network.members
        top = min(self.height(one) for one in members)
        roots = 0
        heights = range(1, top + 1)
        for told in zip(*(self.network.blocks(one, heights) for one in members), strict=True):
            assert all(one == told[0] for one in told), f"block {told[0]['height']} differs"
            roots += told[0]["state_height"] > 0
        return roots


@pytest.fixture(scope="session")
def four_of_them(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Four]:
    try:
        usable_program()
    except ConfigError as error:
        pytest.skip(error.message)
    # Compiled once, rather than by four processes at the same time.
    run_self_test()
    # Short, because the address of a socket is in it.
    folder = tmp_path_factory.mktemp("net")
    rules = Rules(checkpoint_interval=CHECKPOINT_BLOCKS)
    found(folder, 4, rules=rules, snapshot_interval=SNAPSHOT_BLOCKS, settings=SETTINGS)
    network = Network(folder)
    network.start(network.members)
    try:
        network.wait_ready(network.members)
        made = Four(network)
        yield made
        for gateway in made.gateways:
            gateway.close()
    finally:
        network.stop(network.members)


@pytest.fixture
def four(four_of_them: Four) -> Iterator[Four]:
    yield four_of_them
    four_of_them.heal()
