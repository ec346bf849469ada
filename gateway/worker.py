"""One of the processes that `gateway run --workers N` starts; not for calling by hand."""

import argparse
from pathlib import Path

from gateway.logs import set_up_logging
from gateway.request_ids import log_fields
from gateway.run import GatewayApp, parser_of, server_limits
from gateway.server.serve import run
from gateway.server.shutdown import Shutdown
from gateway.server.worker import serve_as_worker
from gateway.settings import load_settings
from gateway.wiring import open_gate


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", type=Path)
    parser.add_argument("--fd", type=int, action="append", required=True)
    parser.add_argument("--parent-fd", type=int, required=True)
    args = parser.parse_args()
    settings = load_settings(args.config)
    set_up_logging(settings.log_level, log_fields)
    run(
        serve_as_worker(
            # The parent owns the embedded ledger, where there is one.
            GatewayApp(open_gate(settings, own_embedded=False)),
            fds=args.fd,
            parent_fd=args.parent_fd,
            limits=server_limits(settings),
            shutdown=Shutdown(),
            http=parser_of(settings),
            log_level=settings.log_level,
        )
    )


if __name__ == "__main__":
    main()
