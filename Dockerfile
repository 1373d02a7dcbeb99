# Crosstalk in a container, from this repository alone: docs/operation.md says how to run it.
FROM python:3.12-slim AS build
WORKDIR /opt/crosstalk
COPY . .
RUN ./setup --server

FROM python:3.12-slim
RUN useradd --system --uid 10001 --no-create-home --shell /usr/sbin/nologin crosstalk \
    && install --directory --owner=crosstalk --group=crosstalk --mode=0700 /var/lib/crosstalk
COPY --from=build /opt/crosstalk /opt/crosstalk
COPY contrib/crosstalk.conf /etc/crosstalk/crosstalk.conf
USER 10001
WORKDIR /var/lib/crosstalk
VOLUME /var/lib/crosstalk
EXPOSE 5050
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=4s --start-period=20s \
    CMD ["python3", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:9464/healthz', timeout=3)"]
ENTRYPOINT ["/opt/crosstalk/.venv/bin/python", "/opt/crosstalk/server.py"]
CMD ["/etc/crosstalk/crosstalk.conf", "--hangup", "reload"]
