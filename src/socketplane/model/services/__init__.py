"""Services: an address and ports of their own, for the containers that a selector selects."""
