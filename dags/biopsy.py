"""The DAGs of the release group `biopsy`: declared in `groups.biopsy`, built here."""

from groups.biopsy import graph
from lockstep_airflow import release_dags

globals().update(release_dags(graph))
