"""Connections to the ledger's servers, whatever their topology: one server, Sentinels or a Cluster.

No command is ever sent again by the library when its answer was lost: a join would burn a position. What
may be repeated is repeated by the caller, who knows. Redirections of a Cluster are followed, since a node
that redirects has done nothing.
"""

# redis-py types its clients in part only.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false

import asyncio
import contextlib
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final, TypeAlias, cast
from urllib.parse import urlencode

from redis.asyncio import Redis
from redis.asyncio.client import PubSub
from redis.asyncio.cluster import ClusterNode, RedisCluster
from redis.asyncio.connection import Connection, ConnectionPool, SSLConnection
from redis.asyncio.connection import parse_url as parse_connection_options
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel, SentinelConnectionPool
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import MovedError, ReadOnlyError, RedisError, SlotNotCoveredError
from redis.maint_notifications import MaintNotificationsConfig
from redis.typing import ScriptTextT

from gateway.chance import CHANCE
from gateway.ledger.urls import LedgerUrl, Topology, parse_ledger_url

# A slot that moves more often than this while it is looked for is in a reconfiguration of the Cluster.
_REDIRECTIONS: Final = 4

# In a Cluster only an error that the client itself sees makes it ask for the nodes anew; a call that its
# caller gives up teaches it nothing. So a node that was switched off must be noticed before the deadline.
_PATIENCE_IN_CLUSTER: Final = 0.75
_PATIENCE_CONNECTING: Final = 0.3

# How long a promotion by an operator may go unnoticed.
_ASK_SENTINELS_S: Final = 1.0

HeldConnection: TypeAlias = Redis
"""One connection that somebody holds alone, to be passed on by name: redis-py is not needed for that."""


class Connections(ABC):
    """What the ledger needs of its servers, in each topology.

    Attributes:
        client: For commands on one key and for registered scripts. In a Cluster it is a
            `RedisCluster`, which has the same commands and sends each to the owner of its key.
    """

    client: Redis

    @abstractmethod
    def held(self, key: str) -> contextlib.AbstractAsyncContextManager[Redis]:
        """Hold one connection to the primary that owns `key`, used by nobody else meanwhile.

        WAIT and WAITAOF count only what their own connection wrote. Once a command has failed on it,
        end the block: the client would connect again, and a wait there would count nothing.

        Raises:
            RedisError: As every command does; use it within `failures.translated`.
        """

    @abstractmethod
    async def subscription(self) -> PubSub:
        """Return a new subscription, not connected yet. Close it when its connection is lost."""

    def server_of(self, key: str) -> str:  # noqa: ARG002  # one server owns every key
        """Name the server that is asked for `key`, as far as it is known; empty where there is one."""
        return ""

    async def aclose(self) -> None:
        """Close every connection."""
        await self.client.aclose()


def open_connections(url: str, *, timeout_s: float, max_connections: int) -> Connections:
    """Prepare connections to the servers of `url`; none is made before the first command.

    Args:
        timeout_s: How long the caller waits for a call; connecting and waiting for an answer each end
            within it.
        max_connections: Most connections to one server; more are refused at once.

    Raises:
        ValueError: The URL is wrong; the message quotes no secret.
    """
    parsed = parse_ledger_url(url)
    common: dict[str, Any] = {
        "decode_responses": True,
        "socket_timeout": timeout_s,
        "socket_connect_timeout": timeout_s,
        "retry": _never(),
        "max_connections": max_connections,
        # The library's name in CLIENT LIST is worth no right; `?client_name=` gives one.
        "driver_info": None,
        # A service of Redis Enterprise: it would cost each connection one refused command.
        "maint_notifications_config": MaintNotificationsConfig(enabled=False),
    }
    match parsed.topology:
        case Topology.SINGLE:
            return _OnePrimary(_Primary.from_url(url, **common))
        case Topology.SENTINEL:
            return _BehindSentinels(parsed, common)
        case Topology.CLUSTER:
            return _InCluster(parsed, common)


def _never() -> Retry:
    return Retry(NoBackoff(), 0)


@asynccontextmanager
async def _alone(pool: Redis) -> AsyncGenerator[Redis]:
    """Hold one connection of a pool. It goes back also where the holder is cancelled meanwhile.

    The library's own context manager awaits before it lets go, and a cancellation there keeps the
    connection for ever.
    """
    connection = pool.client()
    try:
        yield await connection.initialize()
    finally:
        await asyncio.shield(connection.aclose())


class _OnePrimary(Connections):
    def __init__(self, client: Redis) -> None:
        self.client = client

    @asynccontextmanager
    async def held(self, key: str) -> AsyncGenerator[Redis]:  # noqa: ARG002  # it owns every key
        async with _alone(self.client) as connection:
            yield connection

    async def subscription(self) -> PubSub:
        return self.client.pubsub()


class _Primary(Redis):
    """Leaves a server that has become a replica: its name or address may lead to another by now."""

    async def execute_command(self, *args: Any, **options: Any) -> Any:
        try:
            return await super().execute_command(*args, **options)  # type: ignore[no-untyped-call]
        except ReadOnlyError:
            await self.connection_pool.disconnect(inuse_connections=False)
            if self.connection is not None:
                await self.connection.disconnect()
            raise


class _PrimaryOfSentinels(Redis):
    """Takes a demoted primary for a lost one: the pool asks the Sentinels with the next command."""

    async def execute_command(self, *args: Any, **options: Any) -> Any:
        cast("_FollowingPool", self.connection_pool).follow()
        try:
            return await super().execute_command(*args, **options)  # type: ignore[no-untyped-call]
        except RedisConnectionError as exc:
            if not isinstance(exc.__context__, ReadOnlyError):
                raise
        # Not from within the handler: what hangs on a READONLY is read as a wrong URL, and not
        # sent again.
        raise RedisConnectionError("the primary was demoted")


class _BehindSentinels(_OnePrimary):
    def __init__(self, url: LedgerUrl, common: dict[str, Any]) -> None:
        options = _typed_options(url.options)
        username = options.pop("sentinel_username", None)
        password = options.pop("sentinel_password", None)
        tls = {"ssl": True} if url.tls else {}
        # One Sentinel that does not answer must leave time to ask the others and to connect.
        share_s = common["socket_timeout"] / (len(url.hosts) + 1)
        self._sentinels = _Sentinels(
            url.hosts,
            sentinel_kwargs={
                **{name: value for name, value in options.items() if name.startswith("ssl_")},
                **tls,
                "username": username,
                "password": password,
                "socket_timeout": share_s,
                "socket_connect_timeout": share_s,
                "retry": _never(),
                **{name: common[name] for name in ("driver_info", "maint_notifications_config")},
            },
        )
        self._pool = _FollowingPool(
            url.service,
            self._sentinels,
            **common,
            **options,
            **tls,
            username=url.username,
            password=url.password,
            db=url.database,
        )
        super().__init__(_PrimaryOfSentinels.from_pool(self._pool))

    async def aclose(self) -> None:
        await self._pool.stop_following()
        await super().aclose()
        await self._sentinels.aclose()


class _FollowingPool(SentinelConnectionPool):
    """Asks for the primary now and then, also while the one it knows answers well.

    After a promotion by an operator (SENTINEL FAILOVER) the Sentinels leave the old primary as it is
    for about eight seconds: it has no replicas any more, and what it is told is lost.
    """

    def __init__(self, service: str, sentinels: "_Sentinels", **options: Any) -> None:
        super().__init__(service, sentinels, **options)  # type: ignore[no-untyped-call]
        self._ask_at_s = 0.0
        self._asking: asyncio.Task[None] | None = None

    def follow(self) -> None:
        now_s = time.monotonic()
        if now_s >= self._ask_at_s and self._asking is None:
            self._ask_at_s = now_s + _ASK_SENTINELS_S
            self._asking = asyncio.create_task(self._ask())

    async def stop_following(self) -> None:
        if self._asking is not None:
            self._asking.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._asking

    async def get_master_address(self) -> tuple[str, int]:
        known = self.master_address
        address = cast(
            "tuple[str, int]",
            await super().get_master_address(),  # type: ignore[no-untyped-call]
        )
        if address != known:
            # The library leaves those in use alone, and they would come back to the pool as they are.
            await self.update_active_connections_for_reconnect()  # type: ignore[no-untyped-call]
        return address

    async def _ask(self) -> None:
        try:
            with contextlib.suppress(RedisError, OSError):
                await self.get_master_address()
        finally:
            self._asking = None


class _Sentinels(Sentinel):
    """Asks for the primary once for all who want to know it at one time.

    The library swaps its list of Sentinels around an await: lookups that overlap, as after every
    failover, leave one of them in it twice and another not at all.
    """

    def __init__(self, hosts: Sequence[tuple[str, int]], sentinel_kwargs: dict[str, Any]) -> None:
        super().__init__(hosts, sentinel_kwargs=sentinel_kwargs)  # type: ignore[no-untyped-call]
        self._lookup: asyncio.Task[tuple[str, int]] | None = None

    async def discover_master(self, service_name: str) -> tuple[str, int]:
        if self._lookup is None:
            self._lookup = asyncio.create_task(self._discover(service_name))
            self._lookup.add_done_callback(self._forget)
        # One who gives up must not end it for the others.
        return await asyncio.shield(self._lookup)

    async def aclose(self) -> None:
        if self._lookup is not None:
            self._lookup.cancel()
            with contextlib.suppress(asyncio.CancelledError, Exception):
                await self._lookup
        await super().aclose()

    async def _discover(self, service_name: str) -> tuple[str, int]:
        return cast("tuple[str, int]", await super().discover_master(service_name))

    def _forget(self, lookup: asyncio.Task[tuple[str, int]]) -> None:
        self._lookup = None
        if not lookup.cancelled():
            # Whoever waited has it; where everyone gave up, nobody needs it.
            lookup.exception()


class _InCluster(Connections):
    """Commands go through the library's client, held connections and subscriptions to pools beside it."""

    def __init__(self, url: LedgerUrl, common: dict[str, Any]) -> None:
        timeout_s = common["socket_timeout"]
        options: dict[str, Any] = {
            **common,
            **_typed_options(url.options),
            "socket_timeout": timeout_s * _PATIENCE_IN_CLUSTER,
            "socket_connect_timeout": timeout_s * _PATIENCE_CONNECTING,
            "username": url.username,
            "password": url.password,
        }
        self._cluster = _Cluster(url.hosts, **options, ssl=url.tls)
        self.client = cast("Redis", self._cluster)
        self._connection_class = SSLConnection if url.tls else Connection
        self._options = options
        self._pools: dict[str, Redis] = {}

    @asynccontextmanager
    async def held(self, key: str) -> AsyncGenerator[Redis]:
        for _ in range(_REDIRECTIONS):
            pool = await self._pool_of(await self._owner(key))
            async with _alone(pool) as connection:
                try:
                    # A node that does not own the key says who does, before anything is written.
                    await connection.exists(key)
                except MovedError as moved:
                    await self._cluster.nodes_manager.move_slot(moved)
                    continue
                try:
                    yield connection
                except MovedError as moved:
                    await self._cluster.nodes_manager.move_slot(moved)
                    raise
                return
        raise SlotNotCoveredError("the slot moved while its owner was looked for")

    def server_of(self, key: str) -> str:
        try:
            node = self._cluster.get_node_from_key(key)
        except SlotNotCoveredError:
            return ""
        return "" if node is None else node.name

    async def subscription(self) -> PubSub:
        await self._cluster.initialize()
        # What is published anywhere is heard everywhere: every node passes it on.
        node = CHANCE.choice(self._cluster.get_primaries())
        return (await self._pool_of(node)).pubsub()

    async def aclose(self) -> None:
        for pool in self._pools.values():
            await pool.aclose()
        await super().aclose()

    async def _owner(self, key: str) -> ClusterNode:
        await self._cluster.initialize()
        node = self._cluster.get_node_from_key(key)
        assert node is not None  # noqa: S101  # it is None only for a replica that was asked for
        return node

    async def _pool_of(self, node: ClusterNode) -> Redis:
        for gone in self._pools.keys() - self._cluster.nodes_manager.nodes_cache.keys():
            await self._pools.pop(gone).aclose()
        if node.name not in self._pools:
            self._pools[node.name] = Redis.from_pool(
                ConnectionPool(
                    connection_class=self._connection_class,
                    **self._options,
                    host=node.host,
                    port=int(node.port),
                )
            )
        return self._pools[node.name]


class _Cluster(RedisCluster):
    """A client that needs no more of the servers than the nodes' addresses, and finds new ones."""

    def __init__(self, hosts: Sequence[tuple[str, int]], **options: Any) -> None:
        super().__init__(
            startup_nodes=[ClusterNode(host, port) for host, port in hosts],
            # Events on the slots that are covered go on.
            require_full_coverage=False,
            # A redirection corrects its slot. With a limit here, the library closes every connection
            # after so many of them, also those on which others wait for an answer.
            reinitialize_steps=0,
            **options,
        )
        self._hosts = list(hosts)
        self._last_failed: str | None = None
        # By default it asks each new set of nodes for the list of all commands, with a right that the
        # ledger's user does not need otherwise.
        self.commands_parser = cast("Any", _FirstArgument())

    async def initialize(
        self,
        additional_startup_nodes_info: list[tuple[str, int]] | None = None,
        last_failed_node_name: str | None = None,
    ) -> "_Cluster":
        # The library asks only the nodes that it knew last. Where all of them have new addresses, the
        # names of the URL still lead to the Cluster. And it forgets which node failed between two calls
        # and would ask that one first as often as any other.
        await super().initialize(
            additional_startup_nodes_info=additional_startup_nodes_info or self._hosts,
            last_failed_node_name=last_failed_node_name or self._last_failed,
        )
        return self

    async def execute_command(self, *args: Any, **kwargs: Any) -> Any:
        try:
            return await super().execute_command(*args, **kwargs)
        except Exception as exc:
            self._last_failed = getattr(exc, "last_failed_node_name", self._last_failed)
            raise

    async def script_load(self, script: ScriptTextT) -> str:
        """Load a script on the primaries that can be reached.

        The library raises when one of them cannot, though the script may be needed on another.
        """
        loads = await asyncio.gather(
            *(node.execute_command("SCRIPT LOAD", script) for node in self.get_primaries()),
            return_exceptions=True,
        )
        loaded = [load for load in loads if not isinstance(load, BaseException)]
        if not loaded:
            raise next(load for load in loads if isinstance(load, BaseException))
        return str(loaded[0])


class _FirstArgument:
    """Finds the key of a command where all of the ledger's plain commands have it."""

    async def initialize(self, node: object = None) -> None:
        """There is nothing to ask for."""

    async def get_keys(self, *args: Any) -> tuple[Any, ...]:
        return args[1:2]


def _typed_options(options: Mapping[str, str]) -> dict[str, Any]:
    """Read options as the library reads them behind a URL with one host."""
    typed = dict(parse_connection_options(f"redis://host?{urlencode(options)}"))
    del typed["host"]
    return typed
