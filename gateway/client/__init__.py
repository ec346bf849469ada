"""A client that holds a place: joins once, knows its turn without the network, claims when it comes.

async with QueueClient("https://tickets.example", "sale", FileStorage(path)) as client:
    await client.join()
    view = await client.until(lambda view: view.status in ("admitted", "over"))
"""

from gateway.client.client import QueueClient
from gateway.client.storage import FileStorage, MemoryStorage, Storage
from gateway.client.view import View

__all__ = ["FileStorage", "MemoryStorage", "QueueClient", "Storage", "View"]
