"""Where answers are kept: in the memory of a process, or in a Redis that all share."""
