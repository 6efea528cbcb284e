# The operator's image: docker build -t sparkrelease:0.1.0 .
# BASE_IMAGE: any image with Python 3.11 or newer as python3, its venv module and pip.
ARG BASE_IMAGE=python:3.11-slim

FROM ${BASE_IMAGE} AS build
RUN python3 -m venv --without-pip /opt/sparkrelease
COPY requirements/runtime.txt /src/
RUN python3 -m pip --python /opt/sparkrelease/bin/python install \
      --no-cache-dir --no-compile --no-deps --only-binary :all: --require-hashes --requirement /src/runtime.txt
COPY operator/sparkrelease /src/sparkrelease
# Bytecode is kept for what a start imports, and the process that reads files for preflight, and for nothing else: all of
# it would be a third of the image. It is not compared with its source when it is loaded, because the file system is
# read-only and the times of files say nothing.
RUN site=$(/opt/sparkrelease/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))') \
 && mv /src/sparkrelease "$site" \
 && printf '#!%s\nfrom sparkrelease.__main__ import main\nmain()\n' /opt/sparkrelease/bin/python >/opt/sparkrelease/bin/sparkrelease \
 && chmod 755 /opt/sparkrelease/bin/sparkrelease \
 && PYTHONDONTWRITEBYTECODE=1 /opt/sparkrelease/bin/python -c 'import sys, sparkrelease.__main__; \
import sparkrelease.adapters.preflight.sboms, sparkrelease.adapters.preflight.signatures, cyclonedx.model.bom; \
import spdx_tools.spdx.parser.jsonlikedict.json_like_dict_parser; \
files = {getattr(module, "__file__", None) or "" for module in list(sys.modules.values())}; \
print(*sorted(file for file in files if "/site-packages/" in file and file.endswith(".py")), sep="\n")' >/src/imported \
 && /opt/sparkrelease/bin/python -m compileall -q -i /src/imported --invalidation-mode unchecked-hash \
 && /opt/sparkrelease/bin/python -m compileall -q --invalidation-mode unchecked-hash "$site/sparkrelease"

FROM ${BASE_IMAGE}
LABEL org.opencontainers.image.title="SparkRelease operator" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /opt/sparkrelease /opt/sparkrelease
ENV PATH=/opt/sparkrelease/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1
USER 65532:65532
EXPOSE 8080
ENTRYPOINT ["sparkrelease", "run", "--config", "/etc/sparkrelease/config.yaml"]
