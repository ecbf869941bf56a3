"""HTTP in, log out: what comes over the network is judged, made durable in the log, and answered."""
