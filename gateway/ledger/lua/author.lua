-- Who asks for an act, and why: the first two words of the scripts that do what an operator asks for. Where
-- others may ask for the same, the name is empty for them.

local AUTHOR = {by = table.remove(ARGV, 1), reason = table.remove(ARGV, 1)}
