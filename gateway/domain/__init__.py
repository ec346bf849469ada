"""The core: claims, positions, admission, waiting time, the draw. No I/O, no clock, no framework."""
