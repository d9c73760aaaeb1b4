"""Benchmarks: ours beside its peers in the same run, interleaved, medians."""
