"""A machine's place in the cluster: what runs on it, how it joins, and how all of it is undone.

`up` and `join` are ordered lists of steps; each looks first whether it is done already. What was on the machine
before (a Docker engine, Open vSwitch) is used as it is; `record.py` keeps what is ours, so that `down` stops no more.
"""
