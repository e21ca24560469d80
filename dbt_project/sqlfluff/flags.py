"""What sqlfluff, which is not dbt, takes for dbt's flags: models are checked as a full build compiles them."""

FULL_REFRESH = True
