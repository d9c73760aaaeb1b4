"""The controller: keeps the intent, compiles it to the northbound, and answers the REST API."""
