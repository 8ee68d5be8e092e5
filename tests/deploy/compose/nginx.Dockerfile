# For substitute engines: Debian's nginx under the name of the image in docker-compose.proxy.yml.
FROM debian:bookworm-slim
RUN apt-get update && apt-get install --yes --no-install-recommends nginx curl
