"""`python -m lockstep_airflow config`."""

from lockstep_airflow.commands import main

main()
