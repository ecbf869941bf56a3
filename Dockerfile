# syntax=docker/dockerfile:1
# Footfall in one container, or (docker-compose.yml) one of its services in each: collector on 8106, query API and console on 8107, data in /var/lib/footfall.
#   docker build -t footfall .
#   docker run -d --name footfall -p 127.0.0.1:8106:8106 -p 127.0.0.1:8107:8107 \
#     -v footfall:/var/lib/footfall --stop-timeout 60 footfall
#   docker logs footfall        # the keys, shown at the first start only
# By tag. For production pin it by digest, as `docker pull` tells it: --build-arg PYTHON_IMAGE=python@sha256:…
ARG PYTHON_IMAGE=python:3.13-slim-bookworm

FROM ${PYTHON_IMAGE} AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PYTHONDONTWRITEBYTECODE=1
RUN python -m venv /opt/footfall
WORKDIR /src
COPY requirements/services.txt requirements/services.txt
# Everything by its hash, and nothing compiled but our own scanner, by the compiler that comes as a wheel.
RUN /opt/footfall/bin/pip install --require-hashes --only-binary :all: -r requirements/services.txt
COPY . .
RUN /opt/footfall/bin/pip install --no-deps --no-build-isolation . \
    && /opt/footfall/bin/pip uninstall --yes ziglang setuptools

FROM ${PYTHON_IMAGE}
RUN groupadd --gid 10001 footfall \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /var/lib/footfall --shell /usr/sbin/nologin footfall \
    && install --directory --owner=footfall --group=footfall --mode=0700 /var/lib/footfall
COPY --from=build /opt/footfall /opt/footfall
ENV PATH=/opt/footfall/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    FOOTFALL_HOME=/var/lib/footfall \
    FOOTFALL_HOST=0.0.0.0
USER 10001:10001
WORKDIR /var/lib/footfall
VOLUME /var/lib/footfall
EXPOSE 8106 8107 8108
# Ends in order: the collectors, then the engine once it has processed what waits (FOOTFALL_DRAIN_SECONDS).
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=15s --timeout=10s --start-period=60s --retries=3 \
    CMD ["footfall", "ready", "up"]
ENTRYPOINT ["footfall"]
CMD ["up"]
