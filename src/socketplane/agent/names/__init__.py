"""Names of containers: the resolver, a process of its own, and what the agent tells it.

The agent writes the cluster's names, as far as this host's containers may see them, into a journal; the resolver reads
it. So answers go on while the agent, the controller or both are away.
"""
