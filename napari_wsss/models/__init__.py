"""Model weights and networks: the catalogue, the cache on this machine, safe reading, shared networks."""
