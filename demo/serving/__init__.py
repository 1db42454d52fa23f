"""From a page to a server that strangers may reach."""
