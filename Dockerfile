# Two images from one file. `docker build --target train` is the core alone, without Airflow and Beam: jobs of Vertex AI train
# in it, and decisions can be answered from it. Without a target, it is Airflow. Neither holds a secret.
FROM python:3.11.14-slim-bookworm AS train

COPY requirements-train.txt /opt/lockstep/requirements-train.txt
RUN pip install --no-cache-dir --no-deps --require-hashes --requirement /opt/lockstep/requirements-train.txt
COPY include/lockstep /opt/lockstep/include/lockstep
ENV PYTHONPATH=/opt/lockstep/include PYTHONUNBUFFERED=1
RUN useradd --create-home lockstep
USER lockstep
# The job's specification says what to do: `python -m lockstep.training --spec gs://…`. The team's code comes with it.
CMD ["python", "-m", "lockstep.training", "--help"]

# Airflow with exactly the packages that the tests run with; secrets come in when a container starts.
FROM apache/airflow:3.3.2-python3.11

# A new volume takes over the owner of the folder that it is mounted on.
USER root
RUN install --directory --owner=airflow --group=root --mode=0775 \
    /opt/lockstep /opt/lockstep/registry /opt/lockstep/data /opt/lockstep/auth
USER airflow

# Pins and hashes of everything, so there is nothing to resolve.
COPY requirements.txt /opt/lockstep/requirements.txt
RUN pip install --no-cache-dir --no-deps --require-hashes --requirement /opt/lockstep/requirements.txt

COPY --chown=airflow:root dags /opt/airflow/dags
COPY --chown=airflow:root plugins /opt/airflow/plugins
COPY --chown=airflow:root include /opt/lockstep/include
ENV PYTHONPATH=/opt/lockstep/include

# The console script that an installed wheel would bring.
RUN printf '%s\n' '#!/usr/bin/env python' 'import sys' 'from lockstep.cli import main' \
    'if __name__ == "__main__":' '    sys.exit(main())' \
    > /home/airflow/.local/bin/lockstep && chmod 0755 /home/airflow/.local/bin/lockstep
