"""A real Cluster for tests: primaries that share the slots, and replicas where they are asked for."""

import shutil
import tempfile
from pathlib import Path

from redis.crc import key_slot

from tests.support.eventually import eventually
from tests.support.servers import RealServer, free_port

SLOTS = 16_384
SETTLE_TIMEOUT_S = 30.0

# How long a node may be silent before the others vote on its replica; the failover takes about twice that.
NODE_TIMEOUT_MS = 1000


class RealCluster:
    """Nodes on ports of this machine, started from one binary and ended by their process ids.

    Args:
        folder: Where each node gets a folder; its path must be short (unix(7), sun_path).
        replicas: How many replicas the first primary has.
    """

    def __init__(
        self, binary: Path, folder: Path, *, primaries: int = 3, replicas: int = 0
    ) -> None:
        self.primaries = [_node(binary, folder) for _ in range(primaries)]
        self.replicas = [_node(binary, folder) for _ in range(replicas)]

    @property
    def nodes(self) -> list[RealServer]:
        return [*self.primaries, *self.replicas]

    @property
    def url(self) -> str:
        hosts = ",".join(f"127.0.0.1:{node.settings['port']}" for node in self.primaries)
        return f"redis+cluster://{hosts}"

    def start(self) -> None:
        """Return once every node agrees that all slots are served and every replica is in step."""
        for node in self.nodes:
            node.start()
        share = SLOTS // len(self.primaries)
        for number, node in enumerate(self.primaries):
            last = SLOTS - 1 if node is self.primaries[-1] else (number + 1) * share - 1
            node.command("CLUSTER", "ADDSLOTSRANGE", number * share, last)
        first = self.nodes[0]
        for number, node in enumerate(self.nodes, start=1):
            node.command("CLUSTER", "SET-CONFIG-EPOCH", number)
            port, bus = first.settings["port"], first.settings["cluster-port"]
            node.command("CLUSTER", "MEET", "127.0.0.1", port, bus)
        eventually(self._is_settled, SETTLE_TIMEOUT_S)
        for replica in self.replicas:
            replica.command("CLUSTER", "REPLICATE", first.command("CLUSTER", "MYID"))
        eventually(self._replicas_are_in_step, SETTLE_TIMEOUT_S)

    def owner(self, key: str) -> RealServer:
        """Return the primary that served `key` when the Cluster was made."""
        return self.primaries[self._number_of(key)]

    def move_slot(self, key: str, to: RealServer) -> None:
        """Hand an empty slot over, as an operator does; the nodes redirect from now on."""
        slot = key_slot(key.encode())
        for node in self.primaries:
            node.command("CLUSTER", "SETSLOT", slot, "NODE", to.command("CLUSTER", "MYID"))

    def _number_of(self, key: str) -> int:
        share = SLOTS // len(self.primaries)
        return min(key_slot(key.encode()) // share, len(self.primaries) - 1)

    def kill(self) -> None:
        for node in self.nodes:
            node.kill()
            shutil.rmtree(node.folder, ignore_errors=True)

    def _is_settled(self) -> bool:
        return all(
            f"cluster_known_nodes:{len(self.nodes)}" in info
            and "cluster_state:ok" in info
            and f"cluster_slots_ok:{SLOTS}" in info
            for info in (node.raw("CLUSTER INFO") for node in self.nodes)
        )

    def _replicas_are_in_step(self) -> bool:
        return all(
            "master_link_status:up" in replica.raw("INFO", "replication")
            for replica in self.replicas
        ) and all(
            # Every node must know which is whose replica, or the failover finds no votes.
            node.raw("CLUSTER NODES").count("slave") == len(self.replicas)
            for node in self.nodes
        )


def _node(binary: Path, folder: Path) -> RealServer:
    own = Path(tempfile.mkdtemp(prefix="n", dir=folder))
    return RealServer(
        binary,
        own,
        {
            "port": str(free_port()),
            "cluster-enabled": "yes",
            # By default ten thousand above the port, which may be no port at all.
            "cluster-port": str(free_port()),
            "cluster-config-file": "nodes.conf",
            "cluster-node-timeout": str(NODE_TIMEOUT_MS),
            "cluster-replica-validity-factor": "0",
            "repl-diskless-sync-delay": "0",
        },
    )
