# One static binary in an empty image. The data directory is a volume.
FROM golang:1.26 AS build
WORKDIR /src
COPY go.mod go.sum ./
COPY handlers/landing/substrait handlers/landing/substrait
RUN go mod download
COPY . .
RUN CGO_ENABLED=0 go build -trimpath -ldflags='-s -w' -o /headwater ./cmd/headwater \
 && mkdir -p /data && chown 65532:65532 /data

FROM scratch
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY --from=build --chown=65532:65532 /data /data
COPY --from=build /headwater /headwater
USER 65532:65532
VOLUME /data
ENV HEADWATER_DATA_DIR=/data HEADWATER_LISTEN=0.0.0.0:8080
EXPOSE 8080
ENTRYPOINT ["/headwater"]
CMD ["serve"]
