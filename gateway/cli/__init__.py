"""The operator's command line. It knows the ledger, the key ring and the settings, never HTTP.

Heavy imports (redis, aiohttp, uvicorn, cryptography) stand inside the commands that need them: help
and completion answer at once.
"""


def main() -> int:
    """Run the command line of this process; the console script `gateway`."""
    from gateway.cli.root import run_command_line

    return run_command_line()
