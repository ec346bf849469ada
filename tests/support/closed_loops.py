"""What is left of an event loop that ended while its peers still held their connections."""

import gc
import warnings


def forget_connections() -> None:
    """Let go of transports that were open when their loop ended: here, and not in some later test.

    A server that is told to end waits for its connections only so long, and then ends its loop; the garbage
    collector finds the transports afterwards, and warns in whatever test runs then.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()
