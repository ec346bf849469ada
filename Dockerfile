# Build: wheels of the gateway and all it needs. The tools that build stay in this stage.
FROM python:3.13-slim AS build
WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY gateway gateway
RUN python -m pip wheel --no-cache-dir --wheel-dir /wheels .

# Run: slim, without a compiler, as nobody in particular, on a file system that may be read-only.
FROM python:3.13-slim
RUN --mount=type=bind,from=build,source=/wheels,target=/wheels \
    python -m pip install --no-cache-dir --no-index --find-links=/wheels admission-gateway \
    && useradd --system --uid 10001 --home-dir /var/lib/gateway --create-home gateway
USER 10001
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
