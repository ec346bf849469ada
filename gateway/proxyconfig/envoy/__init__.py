"""Envoy: its configuration, and a script that reads what is known at each request."""

from gateway.proxyconfig.envoy.folder import EnvoyFolder

__all__ = ["EnvoyFolder"]
