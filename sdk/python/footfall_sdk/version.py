"""The SDK's version, as it goes into every record's `lib`."""

VERSION = "0.1.0"
