"""BGP: this host tells routers which of its containers' addresses they reach here, by FRR's bgpd.

It runs by itself (`socketplane-bgp`), so that what is announced stays while the agent restarts, and ends when bgpd does.
"""
