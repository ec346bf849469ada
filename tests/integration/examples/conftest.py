"""The parts of `tests.support.staging` that the examples need."""

from tests.support import staging

mint = staging.mint
operator = staging.operator
short_folder = staging.short_folder
valkey = staging.valkey
