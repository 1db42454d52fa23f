"""What all parts share: ids on the Hub, checked downloads, pushes, errors, and how a command ends on a mistake."""
