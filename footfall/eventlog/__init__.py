"""Where events wait between the collector and the processor: durable, ordered, replayable."""
