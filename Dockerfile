# docker build --build-arg EXTRAS=otel -t admission-gateway .

# Build: wheels of the gateway and all it needs. The tools that build stay in this stage.
FROM python:3.13-slim AS build
# Extras of pyproject.toml: `otel` for traces; empty for none.
ARG EXTRAS=""
WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY gateway gateway
RUN python -m pip wheel --no-cache-dir --wheel-dir /wheels ".${EXTRAS:+[$EXTRAS]}"

# Run: slim, without a compiler, as nobody in particular, on a file system that may be read-only.
FROM python:3.13-slim
ARG EXTRAS=""
ARG VERSION=""
ARG REVISION=""
LABEL org.opencontainers.image.title="admission-gateway" \
      org.opencontainers.image.description="A virtual waiting room with signed places, first come, first served" \
      org.opencontainers.image.source="https://github.com/admission-gateway/admission-gateway" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$REVISION"
# The wheels are those of the stage before, and there is no other index.
# hadolint ignore=DL3013
RUN --mount=type=bind,from=build,source=/wheels,target=/wheels \
    python -m pip install --no-cache-dir --no-index --find-links=/wheels \
        "admission-gateway${EXTRAS:+[$EXTRAS]}" \
    && groupadd --system --gid 10001 gateway \
    && useradd --system --uid 10001 --gid 10001 --home-dir /var/lib/gateway --create-home gateway \
    # Where `[ledger] floor_dir` may point: a volume that is mounted here belongs to the gateway.
    && install -d -o gateway -g gateway -m 700 /var/lib/gateway/floors
USER 10001:10001
WORKDIR /var/lib/gateway
ENV PYTHONDONTWRITEBYTECODE=1 \
    GATEWAY_SERVER__HOST=0.0.0.0 \
    GATEWAY_SERVER__ADMIN_HOST=0.0.0.0
EXPOSE 8080 8081
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s CMD \
    ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8081/healthz', timeout=2)"]
ENTRYPOINT ["gateway"]
CMD ["run"]
