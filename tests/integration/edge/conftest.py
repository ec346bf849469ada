"""The stage of `tests.support.staging`."""

from tests.support import staging

event_numbers = staging.event_numbers
common_tables = staging.common_tables
gateway = staging.gateway
mint = staging.mint
open_stage = staging.open_stage
operator = staging.operator
parser = staging.parser
short_folder = staging.short_folder
site = staging.site
stage = staging.stage
tables = staging.tables
valkey = staging.valkey
