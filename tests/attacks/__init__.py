"""Attack tools against WordPress in the bed, and what of each attack got through.

    make attacks

Each tool is an `Attack` (tools.py). It gets an address of its own and runs against a real WordPress while a visitor uses
the site (visitor.py). What reached the attacker is taken from its own network interface (wire.py), the moment of the ban
from the kernel's own word, so the table (arena.py) does not depend on what a tool says of itself.
"""
