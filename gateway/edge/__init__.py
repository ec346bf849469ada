"""The edge: whatever checks tokens in front of the backend."""

from gateway.edge.gate import Gate
from gateway.edge.middleware import AdmissionMiddleware

__all__ = ["AdmissionMiddleware", "Gate"]
