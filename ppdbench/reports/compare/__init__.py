"""The page, the terminal table and the drawings of a comparison of runs."""
