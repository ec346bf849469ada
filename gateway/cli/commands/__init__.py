"""One module a command; thin: parse, ask the ledger or the key ring, answer."""
