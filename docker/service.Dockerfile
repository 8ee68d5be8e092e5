# `oodguard serve` without torch. RUNTIME=cpu or gpu selects the lock file and so the ONNX Runtime;
# the gpu image contains its CUDA libraries as wheels and requires the NVIDIA container toolkit.
#
#   docker build -f docker/service.Dockerfile --build-arg RUNTIME=cpu -t ood-guard:cpu .
FROM python:3.11-slim-bookworm AS wheel
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /src
COPY docker/build.lock docker/
RUN pip install --require-hashes --only-binary :all: -r docker/build.lock
COPY pyproject.toml README.md LICENSE ./
COPY src src
COPY client client
COPY models models
COPY service service
COPY sources sources
COPY training training
RUN python -m hatchling build --target wheel --directory /dist

FROM python:3.11-slim-bookworm AS build
ARG RUNTIME=cpu
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
RUN python -m venv /opt/oodguard
ENV PATH=/opt/oodguard/bin:$PATH
# The locked packages are installed first, so that a change of code keeps this layer.
COPY docker/${RUNTIME}.lock /src/
RUN pip install --require-hashes --only-binary :all: -r "/src/${RUNTIME}.lock"
COPY --from=wheel /dist /dist
RUN pip install --no-deps --no-index /dist/*.whl \
    && pip uninstall --yes pip setuptools

# The documentation site, which the service serves at /guide.
FROM python:3.11-slim-bookworm AS guide
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /src
COPY docker/guide.lock docker/
RUN pip install --require-hashes --only-binary :all: -r docker/guide.lock
COPY . .
RUN python -m guide --out /opt/guide

FROM python:3.11-slim-bookworm
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="ood-guard" \
      org.opencontainers.image.description="Image classification with a calibrated accept or reject decision behind POST /predict" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
# A new volume gets the owner of the folder that it is mounted over.
RUN useradd --system --uid 10001 --user-group --no-create-home --shell /usr/sbin/nologin oodguard \
    && install --directory --owner=10001 --group=10001 --mode=0750 \
       /var/lib/oodguard /var/lib/oodguard/state /var/lib/oodguard/samples
COPY --from=build /opt/oodguard /opt/oodguard
COPY --from=guide /opt/guide /opt/guide
# Byte code is compiled at build time and nothing else is written, so the root can be read-only.
# ORT_DISABLE_TELEMETRY: ONNX Runtime reports each start and each model to its vendor otherwise.
ENV PATH=/opt/oodguard/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility \
    ORT_DISABLE_TELEMETRY=1 \
    OODGUARD_HOST=0.0.0.0 \
    OODGUARD_PORT=8000 \
    OODGUARD_GUIDE=/opt/guide
USER 10001:10001
WORKDIR /
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s --retries=3 \
    CMD ["python", "-c", "import http.client, os, sys; c = http.client.HTTPConnection('127.0.0.1', int(os.environ['OODGUARD_PORT']), timeout=2); c.request('GET', '/readyz'); sys.exit(c.getresponse().status != 200)"]
# Exec form: SIGTERM reaches the server itself, which finishes the requests in flight.
STOPSIGNAL SIGTERM
ENTRYPOINT ["oodguard"]
CMD ["serve"]
