"""What reads the log: filters, months, pages, histories, the past."""
