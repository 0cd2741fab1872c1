"""HTTP in and out. Translates; decides nothing."""
