# docker build -t balancer .                        CPU, on any machine
# docker build -t balancer --build-arg TORCH=cu130 .  for an NVIDIA GPU; run with --gpus all
# docker run --rm -v "$PWD:/work" --user "$(id -u):$(id -g)" --shm-size=2g balancer run --data images
FROM python:3.11-slim
ARG TORCH=cpu
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 HOME=/tmp MPLCONFIGDIR=/tmp/matplotlib

RUN pip install uv && uv pip install --system --torch-backend ${TORCH} 'torch>=2.10' 'torchvision>=0.25'
COPY pyproject.toml README.md LICENSE /src/
COPY balancer /src/balancer
COPY gan /src/gan
COPY classifier /src/classifier
COPY configs /src/configs
COPY samples /src/samples
RUN pip install '/src[app,dicom,excel,explain,parquet]' && rm -r /src

RUN useradd --create-home balancer
USER balancer
WORKDIR /work
# Only `serve` listens; any other command is sound as long as it runs.
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s CMD ["python", "-c", \
  "import pathlib, urllib.request; b'serve' in pathlib.Path('/proc/1/cmdline').read_bytes().split(b'\\0') and urllib.request.urlopen('http://127.0.0.1:7860', timeout=4)"]
ENTRYPOINT ["balancer"]
CMD ["--help"]
