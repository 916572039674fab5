"""skstruct beside its peers; run with ``python -m benchmarks.peers [family]``."""
