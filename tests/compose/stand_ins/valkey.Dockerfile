# Stands in for valkey/valkey where no registry can be reached: the server out of the wheel.
FROM python:3.11.15-slim-bookworm
RUN useradd --system --uid 998 valkey && install -d -o valkey -g valkey /data
COPY valkey-server valkey-cli /usr/local/bin/
WORKDIR /data
USER valkey
CMD ["valkey-server"]
