"""The HTTP interface for visitors, proxies and probes."""
