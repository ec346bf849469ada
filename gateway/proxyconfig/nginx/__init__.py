"""nginx: its configuration, and a script that verifies passes by what plain files say."""

from gateway.proxyconfig.nginx.folder import NginxFolder

__all__ = ["NginxFolder"]
