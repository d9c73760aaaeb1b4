"""How this host's containers are, as services want to know it."""
