"""Open vSwitch and OVN of other Debian releases than this machine's, for tests and benchmarks: make test-versions."""
