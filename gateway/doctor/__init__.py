"""Walks a deployed chain as a visitor would, and says what is wrong and how to mend it.

`examination.py` asks the checks one after the other; each asks the chain (`wire.py`) and returns findings.
"""
