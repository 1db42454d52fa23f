"""What is known of dances, licences and origins."""
