"""The host's agent: Docker's network and IPAM driver, and what keeps host, Docker and controller in step."""
