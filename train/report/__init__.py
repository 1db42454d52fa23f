"""The report on a judged model: a page that opens from disk, with the pictures behind the numbers."""
