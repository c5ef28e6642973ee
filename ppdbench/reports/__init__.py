"""What a run looks like: the HTML page, its plots and galleries, the terminal table."""
