"""Encrypted tunnels: this host's WireGuard device, its peers, and the firewall's rules that nothing goes around it."""
