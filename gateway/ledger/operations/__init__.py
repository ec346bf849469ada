"""What the ledger does for an event, grouped by what it is about. `redis.py` makes one ledger of it."""
