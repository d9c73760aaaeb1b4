"""Floating addresses: claimed on the LAN, led to their container, given back."""
