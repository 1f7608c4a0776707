"""What readers see: views, helpers, pages, row security."""
