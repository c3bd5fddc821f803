# python3-nftables comes from the distribution only, so the base is Debian and its Python; the rest goes into a venv beside it.
FROM debian:trixie-slim AS builder
# Compiled modules without the columns of each instruction, which only mark a place within the line of a traceback.
ENV PYTHONNODEBUGRANGES=1
RUN apt-get update \
 && apt-get install -y --no-install-recommends python3 python3-venv python3-hatchling \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY requirements.lock ./
# The base has no certificate authorities. Those of certifi, which requests brings along, serve mail and Redis as well.
RUN python3 -m venv --system-site-packages /opt/wp-sidecar \
 && /opt/wp-sidecar/bin/pip install --no-cache-dir --require-hashes -r requirements.lock \
 && ln -s "$(/opt/wp-sidecar/bin/python -m certifi)" /opt/wp-sidecar/authorities.pem
COPY pyproject.toml README.md LICENSE ./
COPY filters/ filters/
COPY sidecar/ sidecar/
# The lock has all there is to fetch, and the build backend is Debian's: this step needs no network.
RUN /opt/wp-sidecar/bin/pip install --no-cache-dir --no-deps --no-build-isolation . \
 && /opt/wp-sidecar/bin/pip uninstall --yes pip

FROM debian:trixie-slim
ENV PYTHONNODEBUGRANGES=1
RUN apt-get update \
 && apt-get install -y --no-install-recommends python3 python3-nftables tini tzdata \
 && rm -rf /var/lib/apt/lists/*
COPY --from=builder /opt/wp-sidecar /opt/wp-sidecar
# For the host: `docker cp wp-sidecar:/usr/local/share/man/man1/. /usr/local/share/man/man1/`.
COPY man/ /usr/local/share/man/man1/
# The last two: one thread computes at a time, so one arena is enough, and what is freed goes back: 1.6 MB less at rest.
ENV PATH=/opt/wp-sidecar/bin:$PATH \
    SSL_CERT_FILE=/opt/wp-sidecar/authorities.pem \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    MALLOC_ARENA_MAX=1 \
    MALLOC_TRIM_THRESHOLD_=65536

ARG VERSION=0.1.0
ARG REVISION=
LABEL org.opencontainers.image.title="wp-sidecar" \
      org.opencontainers.image.description="Watches the logs of WordPress containers and drops attackers' packets on the host" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      wp-sidecar.enable="false"

# uid 0, as netlink asks for NET_ADMIN in effect; run it with every other capability dropped (compose.yaml).
VOLUME /var/lib/wp-sidecar
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=5s --start-period=20s --retries=3 CMD ["wp-sidecar", "healthcheck"]
ENTRYPOINT ["/usr/bin/tini", "--", "wp-sidecar"]
CMD ["run"]
