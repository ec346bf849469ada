"""HAProxy: its configuration with the keys by name, and maps that are told over its runtime socket."""

from gateway.proxyconfig.haproxy.folder import HAProxyFolder

__all__ = ["HAProxyFolder"]
