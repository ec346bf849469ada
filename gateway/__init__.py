"""An open admission gateway: a virtual waiting room in front of a booking site."""

__version__ = "0.1.0"
