"""Tokens and keys: signing, strict verification, the key ring folder and JWK sets."""
