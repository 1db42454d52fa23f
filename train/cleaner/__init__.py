"""The cleaner: people decide about doubtful pictures, one at a time, in the browser."""
