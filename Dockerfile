# One image for every Airflow service of docker-compose.yml.
#
# Only what runs in production is installed: the dependencies that pyproject.toml names, at the versions and hashes that
# requirements.lock records (the lock also holds the tools of the tests, which stay out).

FROM python:3.11-slim-bookworm AS build

ENV UV_LINK_MODE=copy \
    UV_PYTHON_DOWNLOADS=never \
    VIRTUAL_ENV=/opt/venv
WORKDIR /opt/personalake

RUN pip install --no-cache-dir uv==0.13.8 && uv venv /opt/venv

# The dependencies first: a change of the project's own code does not install them again. The build tools come from the
# lock too, because a few packages exist as source only and would otherwise fetch unpinned ones.
COPY pyproject.toml requirements.lock ./
RUN uv pip install --no-cache --require-hashes --group build --constraints requirements.lock \
    && uv pip install --no-cache --require-hashes --no-build-isolation --compile-bytecode \
        --requirements pyproject.toml --constraints requirements.lock

COPY . .
# Editable, since the jobs read dbt_project/ and config/ beside their own code.
RUN uv pip install --no-cache --no-deps --no-build-isolation --editable . \
    && /opt/venv/bin/python -m compileall -q jobs dags config \
    && /opt/venv/bin/personalake dbt parse \
    && chmod -R g=u /opt/personalake


FROM python:3.11-slim-bookworm

ENV AIRFLOW_HOME=/opt/airflow \
    HOME=/opt/airflow \
    USER=airflow \
    PATH=/opt/venv/bin:$PATH \
    PYTHONUNBUFFERED=1

# Group 0 may write what the user may, so that compose can start the image under the host user's id. Volumes take over
# owner and rights of the folders made here.
RUN useradd --uid 50000 --gid 0 --no-create-home --home-dir /opt/airflow airflow \
    && mkdir -p /opt/airflow/logs /opt/airflow/auth \
    && chown -R airflow:0 /opt/airflow \
    && chmod -R g=u /opt/airflow

COPY --from=build /opt/venv /opt/venv
COPY --from=build --chown=airflow:0 /opt/personalake /opt/personalake

USER 50000
WORKDIR /opt/personalake
CMD ["airflow", "version"]
