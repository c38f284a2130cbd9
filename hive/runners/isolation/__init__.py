"""What holds a process of this machine: levels, best first, each found by trying it."""
