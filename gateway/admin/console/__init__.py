"""The operator console: a small page with the live picture of an event and the acts of a sale's night."""

from gateway.admin.console.routes import console_routes

__all__ = ["console_routes"]
