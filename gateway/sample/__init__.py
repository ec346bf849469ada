"""A small booking site for `gateway demo`: something to stand a queue in front of."""
