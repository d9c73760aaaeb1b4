"""HTTP between agent, command line and controller: who is at the other end, and over which socket."""
