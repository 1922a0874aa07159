# One image for all roles: `docker run docmill worker io`, `… api --host 0.0.0.0`, `… beat`.
FROM python:3.11.15-slim-bookworm AS build
RUN python -m venv --without-pip /venv
COPY image.lock /
RUN pip --python /venv/bin/python install --no-cache-dir --no-deps --require-hashes --only-binary=:all: -r /image.lock
COPY . /app
RUN pip --python /venv/bin/python install --no-cache-dir --no-deps --no-build-isolation --editable /app \
 && /venv/bin/python -B -c 'from docmill.parsing.renderings.names import keep; keep()' \
 && python -m compileall -q /app

FROM python:3.11.15-slim-bookworm
RUN useradd --system --uid 10001 --create-home --home-dir /var/lib/docmill docmill \
 && install -d -o docmill -g docmill /var/lib/docmill/spool
COPY --from=build /venv /venv
COPY --from=build /app /app
WORKDIR /app
ENV PATH=/venv/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 DOCMILL_SPOOL=/var/lib/docmill/spool
USER docmill
ENTRYPOINT ["docmill"]
CMD ["--help"]
