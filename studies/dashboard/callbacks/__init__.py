"""What changes a page? A file for each of its parts, with a `register` that gives an application its callbacks."""
