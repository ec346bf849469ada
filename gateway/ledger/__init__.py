"""The ledger on Redis or Valkey: keys, scripts, group commit, watching, and the embedded server."""
