"""A visitor's own program around the Python client: tells each view as a line of JSON, until it is over.

Arguments: the gateway's origin, the event, the file of the record, and over what to be told.
"""

import asyncio
import dataclasses
import json
import sys
from pathlib import Path
from typing import cast

from gateway.client import FileStorage, QueueClient, View
from gateway.client.transport import Channel


def tell(view: View) -> None:
    said = dataclasses.asdict(view)
    said["pass"] = said.pop("pass_")
    print(json.dumps(said), flush=True)


async def main(url: str, event: str, path: str, push: str) -> None:
    async with QueueClient(
        url, event, FileStorage(Path(path)), push=cast("Channel", push)
    ) as client:
        tell(client.view)
        if client.view.status == "idle":
            await client.join()
        while (view := client.view).status not in ("admitted", "over"):
            tell(view)
            await client.until(lambda view, told=view: not is_like(view, told))  # type: ignore[misc]
        tell(view)


def is_like(view: View, told: View) -> bool:
    return dataclasses.replace(view, age=None) == dataclasses.replace(told, age=None)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
