"""A virtual machine with Debian's kernel, for what others can't show: Open vSwitch's kernel datapath, systemd, reboots.

Where KVM does not work, QEMU emulates the processor. The machine has no network: its image is made of Debian packages
and the locked dependencies, the checkout comes in and results go out by disks of their own.
"""
