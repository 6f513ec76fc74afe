# The image of hangup: the binary, CA certificates and libc, and nothing to log in to.
#   docker build -t hangup:dev .
#   docker build --build-arg PROFILE_GUIDED=yes -t hangup:1.0 .     # for a release: cheaper to run, ten minutes longer to build
#   docker run --rm -p 127.0.0.1:8080:8080 -e HANGUP__AUTH__ANONYMOUS=true hangup:dev demo
# A release pins both by digest: --build-arg BUILD_IMAGE=rust:1-bookworm@sha256:… --build-arg RUNTIME_IMAGE=…@sha256:…
ARG BUILD_IMAGE=rust:1-bookworm
ARG RUNTIME_IMAGE=gcr.io/distroless/cc-debian12:nonroot

FROM ${BUILD_IMAGE} AS build
WORKDIR /src
ENV CARGO_TERM_COLOR=never
ARG PROFILE_GUIDED=
# hadolint ignore=DL3008
RUN if [ -n "$PROFILE_GUIDED" ]; then \
      apt-get update && apt-get install -y --no-install-recommends llvm-19 python3 && rm -rf /var/lib/apt/lists/*; \
    fi
COPY . .
# The caches hold registry and dependencies between builds. Cargo goes by modification times, and a checkout can be older than
# what the cache was built from: the touch makes it compile our own crate whenever this step runs at all.
# Panics keep their message without symbols, and the image is half as large. Cargo's own `strip` would change the names of the
# functions, which build/functions.txt lists.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target,sharing=locked \
    find build src config openapi.yaml -type f -exec touch {} + \
    && if [ -n "$PROFILE_GUIDED" ]; then scripts/profile-guided --out /out/hangup; \
       else cargo build --release --locked --bin hangup && install -D -m 0755 target/release/hangup /out/hangup; fi \
    && strip /out/hangup && mkdir -p /out/state

FROM ${RUNTIME_IMAGE}
ARG RUNTIME_IMAGE
COPY --from=build /out/hangup /usr/local/bin/hangup
# The store's folder; a named volume takes over its owner.
COPY --from=build --chown=65532:65532 --chmod=0700 /out/state /var/lib/hangup
# Inside a container only the outside can reach it, so it listens on all addresses. Then it wants callers' keys
# (auth.keys_file) or a clear word (auth.anonymous = true), and refuses to start without either.
ENV HANGUP__SERVER__BIND=0.0.0.0:8080 \
    HANGUP__SANDBOX__BIND=0.0.0.0:8090 \
    STATE_DIRECTORY=/var/lib/hangup
VOLUME ["/var/lib/hangup"]
# Callers; operations when HANGUP__ADMIN__BIND=0.0.0.0:8081 is set; `hangup sandbox`.
EXPOSE 8080 8081 8090
USER 65532:65532
HEALTHCHECK --interval=10s --timeout=4s --start-period=5s --retries=3 CMD ["/usr/local/bin/hangup", "healthcheck"]
ENTRYPOINT ["/usr/local/bin/hangup"]
CMD ["serve"]
ARG VERSION=dev
ARG REVISION=unknown
ARG CREATED=1970-01-01T00:00:00Z
LABEL org.opencontainers.image.title="hangup" \
      org.opencontainers.image.description="One local endpoint that disconnects one participant from a Genesys Cloud conversation and reports what really happened" \
      org.opencontainers.image.licenses="Apache-2.0 OR MIT" \
      org.opencontainers.image.base.name="${RUNTIME_IMAGE}" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.created="${CREATED}"
