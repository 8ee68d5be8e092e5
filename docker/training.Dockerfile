# `oodguard-train`, with torch and its CUDA libraries. Data sets and runs are mounted.
#
#   docker build -f docker/training.Dockerfile -t ood-guard:training .
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
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
RUN python -m venv /opt/oodguard
ENV PATH=/opt/oodguard/bin:$PATH
COPY docker/training.lock /src/
RUN pip install --require-hashes --only-binary :all: -r /src/training.lock
COPY --from=wheel /dist /dist
RUN pip install --no-deps --no-index /dist/*.whl

FROM python:3.11-slim-bookworm
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="ood-guard-training" \
      org.opencontainers.image.description="Trains, evaluates and exports hardened image classifiers with calibrated out-of-distribution decisions" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
RUN useradd --system --uid 10001 --user-group --no-create-home --shell /usr/sbin/nologin oodguard \
    && install --directory --owner=10001 --group=10001 /oodguard /oodguard/data /oodguard/runs
COPY --from=build /opt/oodguard /opt/oodguard
COPY recipes /oodguard/recipes
# HOME: the caches of the libraries need the only writable folder of a read-only root.
# ORT_DISABLE_TELEMETRY: ONNX Runtime reports each start and each model to its vendor otherwise.
ENV PATH=/opt/oodguard/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    HOME=/tmp \
    NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility \
    ORT_DISABLE_TELEMETRY=1
USER 10001:10001
WORKDIR /oodguard
HEALTHCHECK NONE
ENTRYPOINT ["oodguard-train"]
CMD ["--help"]
