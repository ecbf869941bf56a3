# syntax=docker/dockerfile:1
# Footfall in one container: collector on 8106, query API and console on 8107, data in /var/lib/footfall.
#   docker build -t footfall .
#   docker run -d --name footfall -p 127.0.0.1:8106:8106 -p 127.0.0.1:8107:8107 \
#     -v footfall:/var/lib/footfall --stop-timeout 60 footfall
#   docker logs footfall        # the keys, shown at the first start only
ARG PYTHON=3.13

FROM python:${PYTHON}-slim-bookworm AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PYTHONDONTWRITEBYTECODE=1
RUN python -m venv /opt/footfall
WORKDIR /src
COPY requirements/run.txt requirements/run.txt
# Everything by its hash, and nothing compiled but our own scanner, by the compiler that comes as a wheel.
RUN /opt/footfall/bin/pip install --require-hashes --only-binary :all: -r requirements/run.txt
COPY . .
RUN /opt/footfall/bin/pip install --no-deps --no-build-isolation . \
    && /opt/footfall/bin/pip uninstall --yes ziglang setuptools

FROM python:${PYTHON}-slim-bookworm
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
EXPOSE 8106 8107
# Ends in order: the collectors, then the engine once it has processed what waits (FOOTFALL_DRAIN_SECONDS).
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=15s --timeout=5s --start-period=60s --retries=3 \
    CMD ["python", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:8106/healthz', timeout=2); urlopen('http://127.0.0.1:8107/healthz', timeout=2)"]
ENTRYPOINT ["footfall"]
CMD ["up"]
