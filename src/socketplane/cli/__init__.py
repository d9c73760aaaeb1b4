"""The command line. Reading commands show what the controller answers; nothing here decides anything."""
