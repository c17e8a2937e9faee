# One image for every face of weighbridge: `serve` by default, and the other commands. Any base with Python 3.11 or newer, its venv module and
# certificates will do: `docker build .` takes the one below, `tools/image` makes one from Debian packages where no registry is reachable.
ARG BASE=docker.io/library/python:3.13-slim-trixie

FROM ${BASE} AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore PYTHONDONTWRITEBYTECODE=1
RUN python3 -m venv /app
COPY requirements/build.txt requirements/runtime.txt /src/requirements/
RUN /app/bin/python -m pip install -q --no-compile --only-binary :all: --require-hashes \
    -r /src/requirements/build.txt -r /src/requirements/runtime.txt
COPY pyproject.toml README.md LICENSE /src/
COPY analysis /src/analysis
COPY webhook /src/webhook
# What only builds or tests goes. Byte code is made once, here: the file system of the container is read-only. It is not compared with
# its source again (unchecked-hash), because times of files do not survive the layers of an image.
RUN /app/bin/python -m pip install -q --no-compile --no-build-isolation --no-deps /src \
    && /app/bin/python -m pip uninstall -q -y setuptools pip \
    && find /app/lib -depth -type d \( -name tests -o -name test \) -exec rm -rf {} + \
    && find /app/lib -type f \( -name '*.pyi' -o -name '*.pyx' -o -name '*.pxd' -o -name '*.h' -o -name '*.c' -o -name '*.a' \) -delete \
    && rm -rf /app/include /app/share /app/lib64/python*/site-packages/matplotlib/mpl-data/sample_data \
    && /app/bin/python -m compileall -q -j 0 --invalidation-mode unchecked-hash /app/lib

FROM ${BASE}
LABEL org.opencontainers.image.title="weighbridge" \
    org.opencontainers.image.description="Weighs a release at every step and says promote, hold or abort" \
    org.opencontainers.image.licenses="Apache-2.0"
# The standard library's byte code, where the base comes without it; and the one folder that is written to.
RUN python3 -c "import compileall, re, sysconfig; compileall.compile_dir(sysconfig.get_path('stdlib'), quiet=2, rx=re.compile('site-packages|dist-packages|/test|/idlelib|/lib2to3'))" \
    && mkdir -p /var/lib/weighbridge && chown 10001:10001 /var/lib/weighbridge
COPY --from=build /app /app
ENV PATH=/app/bin:/usr/local/bin:/usr/bin:/bin \
    HOME=/var/lib/weighbridge \
    MPLCONFIGDIR=/tmp/matplotlib \
    PYTHONDONTWRITEBYTECODE=1 \
    WEIGHBRIDGE_LISTEN=0.0.0.0:8080 \
    WEIGHBRIDGE_STORE=sqlite:/var/lib/weighbridge/weighbridge.db
USER 10001:10001
EXPOSE 8080
ENTRYPOINT ["weighbridge"]
CMD ["serve"]
