# A worker of an Isthmus node. Kafka and both platforms are elsewhere: see docs/reference/settings.md.
FROM python:3.11-slim AS build
# The hot modules are compiled (docs/adr/0009-compiled.md); what runs them needs no compiler.
RUN apt-get update && apt-get install --yes --no-install-recommends gcc libc6-dev && rm -rf /var/lib/apt/lists/*
RUN python -m venv /opt/isthmus
WORKDIR /src
COPY . .
RUN /opt/isthmus/bin/pip install --no-cache-dir .

FROM python:3.11-slim
RUN useradd --system --uid 10001 --home-dir /var/lib/isthmus --create-home isthmus
COPY --from=build /opt/isthmus /opt/isthmus
ENV PATH=/opt/isthmus/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    ISTHMUS_NODE__DATA_DIR=/var/lib/isthmus \
    ISTHMUS_NODE__HTTP_HOST=0.0.0.0 \
    ISTHMUS_NODE__HTTP_PORT=8080
USER isthmus
WORKDIR /var/lib/isthmus
VOLUME /var/lib/isthmus
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=3s --start-period=60s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request as r; r.urlopen(f\"http://127.0.0.1:{os.environ['ISTHMUS_NODE__HTTP_PORT']}/health/live\", timeout=2)"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["isthmus"]
CMD ["worker"]
