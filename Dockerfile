FROM python:3.13-slim

# Fixed numbers, so that files in a volume keep their owner from one image to the next.
RUN groupadd --gid 1000 countermand \
    && useradd --uid 1000 --gid 1000 --create-home countermand \
    && install -d -o countermand -g countermand /files /var/lib/countermand

WORKDIR /src
COPY . .
# The lock says which versions; what only tests use stays out.
RUN pip install --no-cache-dir --constraint requirements.lock ".[redis,etcd]"

USER countermand
WORKDIR /files
ENV COUNTERMAND_HOME=/var/lib/countermand \
    PYTHONUNBUFFERED=1

CMD ["conductor", "run"]
