"""The DAGs of the release group `churn`: declared in `groups.churn`, built here."""

from groups.churn import graph
from lockstep_airflow import every, release_dags

globals().update(release_dags(graph, watch=every("@hourly")))
