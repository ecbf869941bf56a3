"""What of a record may rest, and in which form: rules, detection of personal data, pseudonyms. Pure."""
