"""From a name to a model in memory: files, claims of a config, weights, devices, precision."""
