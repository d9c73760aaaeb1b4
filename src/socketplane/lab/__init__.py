"""Several hosts on one machine, in namespaces, each with its own Docker engine: for trying, tests and benchmarks.

A lab has a name, and everything that it makes carries it: processes and containers live in control groups
`socketplane-lab.NAME`, files below `/run/socketplane-lab/NAME` and `/var/lib/socketplane-lab/NAME`; links, mounts
and firewall rules exist only inside namespaces that end with the lab's processes.
"""

from socketplane.lab.build import up
from socketplane.lab.labs import Lab, leftovers, names, remove
from socketplane.lab.machine import Machine

__all__ = ["Lab", "Machine", "leftovers", "names", "remove", "up"]
