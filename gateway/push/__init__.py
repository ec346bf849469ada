"""The pointer document pushed to whoever waits: one frame for everyone, nothing kept but the connection."""
