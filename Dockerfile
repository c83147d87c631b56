# docker build -t gauss-markov-rdp . && docker run --rm gauss-markov-rdp solve --rho 0.9 --rates 0.5,0.5 --plf JD
FROM python:3.11-slim
WORKDIR /package
COPY . .
RUN pip install --no-cache-dir -c constraints.txt ".[explore]"
ENV NUMBA_CACHE_DIR=/tmp/numba
USER nobody
ENTRYPOINT ["rdp"]
CMD ["--help"]
