package main

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"headwater/api/web"
	"headwater/handlers/extract"
	"headwater/handlers/landing/bucket"
)

// Config holds every setting of `headwater serve`, set by a flag or by the
// environment variable of the same name. All defaults are here.
type Config struct {
	Listen             string        `env:"HEADWATER_LISTEN" default:"127.0.0.1:8080" help:"Address of the REST API."`
	DataDir            string        `env:"HEADWATER_DATA_DIR" default:"./headwater-data" help:"Folder of the keys, the embedded broker, the read model and the lake. Created with mode 0700."`
	NATSURL            string        `name:"nats-url" env:"HEADWATER_NATS_URL" help:"An external JetStream cluster. Without it the broker is embedded and every ack is fsynced."`
	NATSCreds          string        `name:"nats-creds" env:"HEADWATER_NATS_CREDS" help:"Credentials file for --nats-url."`
	NATSAuthIssuerFile string        `name:"nats-auth-issuer-file" env:"HEADWATER_NATS_AUTH_ISSUER_FILE" help:"Seed of the account nkey that --nats-url's auth_callout trusts: tokens become its subscribers' passwords."`
	NATSAuthAccount    string        `name:"nats-auth-account" env:"HEADWATER_NATS_AUTH_ACCOUNT" help:"Account of --nats-url for those subscribers (default HEADWATER_{organization})."`
	Replicas           int           `env:"HEADWATER_REPLICAS" default:"0" help:"Copies of every stream with --nats-url. 0 means 3."`
	NATSListen         string        `name:"nats-listen" env:"HEADWATER_NATS_LISTEN" default:"127.0.0.1:4222" help:"Address at which subscribers reach the embedded broker; off for none."`
	Lake               string        `env:"HEADWATER_LAKE" help:"Directory or bucket URL for synced tables (default <data-dir>/lake)."`
	LakeMode           string        `env:"HEADWATER_LAKE_MODE" default:"0640" help:"Mode of the files in a lake that is a directory: 0600, 0640, or 0644, which lets every account of the machine read them."`
	LakeListen         string        `env:"HEADWATER_LAKE_LISTEN" help:"Address at which a lake that is a directory is served read-only over S3, with keys from the Iceberg catalog; off for none (default: at --listen, beside the API)."`
	LakeSTSEndpoint    string        `name:"lake-sts-endpoint" env:"HEADWATER_LAKE_STS_ENDPOINT" help:"URL of the STS of a lake that is a bucket: it gives engines keys to one table each (default none; with --lake-sts-role, Amazon's)."`
	LakeSTSRole        string        `name:"lake-sts-role" env:"HEADWATER_LAKE_STS_ROLE" help:"ARN of the role that those keys are of. It must allow reading the lake. Not every store needs one."`
	LakeSTSDuration    time.Duration `name:"lake-sts-duration" env:"HEADWATER_LAKE_STS_DURATION" default:"1h" help:"How long those keys live: 15m to 1h. They cannot be taken back."`
	FilesRoot          string        `env:"HEADWATER_FILES_ROOT" help:"The only local folder that file sources may read (default <data-dir>/files). Each organization reads its own subfolder."`
	FilesOf            string        `name:"files-of" env:"HEADWATER_FILES_OF" help:"The organization that owns all of --files-root, or each for one subfolder each. Default: the first token's organization, while there is no other."`
	FilesShared        string        `name:"files-shared" env:"HEADWATER_FILES_SHARED" help:"A folder in --files-root that every organization may read, under its name (default none)."`
	EgressAllow        string        `env:"HEADWATER_EGRESS_ALLOW" default:"auto" help:"CIDRs beyond the public internet that sources and webhooks may reach, separated by commas; auto, alone or among them, allows private and loopback addresses only while the API itself listens on loopback."`
	JWKSURL            string        `name:"jwks-url" env:"HEADWATER_JWKS_URL" help:"URL of the public keys (JWKS) of the tokens' issuer."`
	JWTSecretFile      string        `name:"jwt-secret-file" env:"HEADWATER_JWT_SECRET_FILE" help:"File of the HS256 key that signs tokens (default <data-dir>/keys/jwt.key, created on first start)."`
	JWTIssuer          string        `name:"jwt-issuer" env:"HEADWATER_JWT_ISSUER" help:"Required issuer of tokens."`
	JWTAudience        string        `name:"jwt-audience" env:"HEADWATER_JWT_AUDIENCE" help:"Required audience of tokens."`
	MasterKeyFile      string        `env:"HEADWATER_MASTER_KEY_FILE" help:"File of the key that encrypts the secrets' keys (default <data-dir>/keys/master.key, created on first start)."`
	Roles              []string      `env:"HEADWATER_ROLES" default:"api,worker" help:"What this node does: api, worker or both."`
	MetricsListen      string        `env:"HEADWATER_METRICS_LISTEN" default:"127.0.0.1:9464" help:"Address of the Prometheus metrics; off for none."`
	MetricsPerSource   bool          `env:"HEADWATER_METRICS_PER_SOURCE" help:"Adds metrics for each source, labelled with its organization, workspace and id: as many series as there are sources."`
	LogLevel           string        `env:"HEADWATER_LOG_LEVEL" default:"info" enum:"debug,info,warn,error" help:"Lowest level of log lines: debug, info, warn, error."`
	LogFormat          string        `env:"HEADWATER_LOG_FORMAT" default:"auto" enum:"auto,text,json" help:"text for people, json for programs, auto for text at a terminal and json elsewhere."`
	ConnectorMemory    int64         `env:"HEADWATER_CONNECTOR_MEMORY" default:"0" help:"Memory of the process of one open source, MiB. If a source needs more, only it fails. 0 means 512."`
	KeyIndex           int64         `env:"HEADWATER_KEY_INDEX" default:"16384" help:"MiB of the data directory's disk that indexes of merged tables' keys may take, and never more than a quarter of what is free; 0 for none, and each merge reads the keys of its table."`
	ConnectorKeep      time.Duration `env:"HEADWATER_CONNECTOR_KEEP" default:"1m" help:"How long the process of a source waits for the source's next call, which then needs no start; 0 ends it with each call."`
	Grace              time.Duration `env:"HEADWATER_GRACE" default:"168h" help:"How long a removed source can be restored before its keys and tables are destroyed; 0 destroys them at once."`
	CORSOrigins        []string      `name:"cors-origins" env:"HEADWATER_CORS_ORIGINS" help:"Origins of web pages that may call the API, such as https://app.example.com; * for every page (default none)."`
	Wait               time.Duration `env:"HEADWATER_WAIT" default:"60s" help:"How long a POST waits for its outcome before it answers 202."`
	AuditEvery         time.Duration `env:"HEADWATER_AUDIT_EVERY" default:"24h" help:"How often the read model is compared with the log in the background; 0 for never."`
	SnapshotEvents     uint64        `env:"HEADWATER_SNAPSHOT_EVENTS" default:"100000" help:"Store a snapshot of the read model after this many events; 0 for never, and new nodes then replay the history."`
	SnapshotEvery      time.Duration `env:"HEADWATER_SNAPSHOT_EVERY" default:"24h" help:"Store one after this time too, if anything happened."`

	lakeMode fs.FileMode // LakeMode after validation

	// storeLimits shortens timeouts in tests; zero means the defaults.
	storeLimits bucket.Limits
	retryDelay  time.Duration
}

// Roles of a node.
const (
	roleAPI    = "api"
	roleWorker = "worker"
)

// maxKeep is the largest --connector-keep: a kept process has its source's
// secrets in memory.
const maxKeep = 10 * time.Minute

// maxGrace is the largest --grace, ten years, so that a mistyped unit cannot
// keep secrets for ever.
const maxGrace = 10 * 365 * 24 * time.Hour

// Validate sets the defaults that depend on other settings, and returns every
// mistake, joined; each names the flag to change.
func (c *Config) Validate() error {
	var errs []error
	wrong := func(flag, format string, args ...any) {
		errs = append(errs, fmt.Errorf("--%s: %s", flag, fmt.Sprintf(format, args...)))
	}
	if c.DataDir == "" {
		wrong("data-dir", "must not be empty")
	}
	in := func(value *string, parts ...string) {
		if *value == "" {
			*value = filepath.Join(append([]string{c.DataDir}, parts...)...)
		}
	}
	in(&c.Lake, "lake")
	in(&c.FilesRoot, "files")
	in(&c.MasterKeyFile, "keys", "master.key")

	if c.FilesShared != "" && !sharedName.MatchString(c.FilesShared) {
		wrong("files-shared", "must be the name of a folder in --files-root, such as shared, not %q", c.FilesShared)
	}

	for _, origin := range c.CORSOrigins {
		if err := web.CheckOrigin(origin); err != nil {
			wrong("cors-origins", "%q %v", origin, err)
		}
	}

	if c.LakeMode == "" {
		c.LakeMode = "0640"
	}
	mode, err := strconv.ParseUint(c.LakeMode, 8, 32)
	if err != nil || mode&0o600 != 0o600 || mode&^0o644 != 0 {
		wrong("lake-mode", "must be 0600, 0640 or 0644, not %q: only the service writes to the lake", c.LakeMode)
	}
	c.lakeMode = fs.FileMode(mode)

	for flag, address := range map[string]string{"listen": c.Listen, "nats-listen": c.NATSListen, "metrics-listen": c.MetricsListen, "lake-listen": c.LakeListen} {
		if address == "off" && flag != "listen" || address == "" && flag == "lake-listen" {
			continue
		}
		if _, _, err := net.SplitHostPort(address); err != nil {
			wrong(flag, "%q is not a host:port", address)
		}
	}
	c.checkSTS(wrong)
	if c.JWKSURL != "" && c.JWTSecretFile != "" {
		wrong("jwks-url", "cannot be combined with --jwt-secret-file: tokens have one signer")
	}
	if c.JWKSURL != "" {
		if u, err := url.Parse(c.JWKSURL); err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
			wrong("jwks-url", "must be an http or https URL")
		}
	}
	if c.JWKSURL == "" {
		in(&c.JWTSecretFile, "keys", "jwt.key")
	}
	if c.NATSURL == "" && c.Replicas > 1 {
		wrong("replicas", "the embedded broker keeps one copy; give --nats-url to replicate")
	}
	if c.NATSURL == "" && c.NATSCreds != "" {
		wrong("nats-creds", "needs --nats-url")
	}
	if c.NATSURL == "" && c.NATSAuthIssuerFile != "" {
		wrong("nats-auth-issuer-file", "needs --nats-url; the embedded broker takes tokens as it is")
	}
	if c.NATSAuthIssuerFile == "" && c.NATSAuthAccount != "" {
		wrong("nats-auth-account", "needs --nats-auth-issuer-file")
	}
	if c.Replicas < 0 || c.Replicas > 5 {
		wrong("replicas", "must be 0 to 5, not %d", c.Replicas)
	}
	if c.NATSURL != "" && c.Replicas == 0 {
		c.Replicas = 3
	}
	if len(c.Roles) == 0 {
		wrong("roles", "must name api, worker or both")
	}
	for _, role := range c.Roles {
		if role != roleAPI && role != roleWorker {
			wrong("roles", "%q is neither api nor worker", role)
		}
	}
	if c.NATSURL == "" && len(c.Roles) == 1 {
		wrong("roles", "a node with one role needs --nats-url, where the other role can join it")
	}
	if c.ConnectorMemory == 0 {
		c.ConnectorMemory = extract.DefaultMemory >> 20
	}
	if c.ConnectorMemory < 128 || c.ConnectorMemory > 1<<20 {
		wrong("connector-memory", "must be at least 128 (MiB), not %d", c.ConnectorMemory)
	}
	if c.KeyIndex < 0 || c.KeyIndex > 1<<30 {
		wrong("key-index", "must be 0 (MiB), which keeps none, or more, not %d", c.KeyIndex)
	}
	if c.ConnectorKeep < 0 || c.ConnectorKeep > maxKeep {
		wrong("connector-keep", "must be 0, which keeps no process, to %v, not %v", maxKeep, c.ConnectorKeep)
	}
	if c.AuditEvery < 0 {
		wrong("audit-every", "must not be below 0")
	}
	if c.SnapshotEvents > 0 && c.SnapshotEvery <= 0 {
		wrong("snapshot-every", "must be above 0; --snapshot-events 0 makes no snapshots")
	}
	if c.Grace < 0 || c.Grace > maxGrace {
		wrong("grace", "must be 0 to %v, not %v", maxGrace, c.Grace)
	}
	if c.Wait <= 0 || c.Wait > 10*time.Minute {
		wrong("wait", "must be more than 0 and at most 10m")
	}
	return errors.Join(errs...)
}

func (c *Config) has(role string) bool { return slices.Contains(c.Roles, role) }

// path returns a path inside the data directory.
func (c *Config) path(parts ...string) string {
	return filepath.Join(append([]string{c.DataDir}, parts...)...)
}

// home identifies the data directory to the lake's catalog, so that a copy of
// the directory is recognized. It is "" on a cluster.
func (c *Config) home() (string, error) {
	if c.NATSURL != "" {
		return "", nil
	}
	dir, err := filepath.Abs(c.DataDir)
	if err == nil {
		dir, err = filepath.EvalSymlinks(dir)
	}
	if err != nil {
		return "", fmt.Errorf("--data-dir: %w", err)
	}
	return dir, nil
}

// loopback reports whether the API is reachable from this machine only.
func (c *Config) loopback() bool {
	host, _, err := net.SplitHostPort(c.Listen)
	if err != nil {
		return false
	}
	if host == "localhost" {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

// testVariables are read by the project's own tests.
var testVariables = []string{"HEADWATER_TEST_REQUIRE", "HEADWATER_TEST_SIX_CALLS", "HEADWATER_TEST_PYTHON", "HEADWATER_TEST_MAIN"}

// unknownVariables returns an error that names every HEADWATER_* variable of the
// environment that no flag reads, so that a typo cannot be silent.
func unknownVariables(environ, known []string) error {
	var errs []error
	for _, entry := range environ {
		name, _, _ := strings.Cut(entry, "=")
		if strings.HasPrefix(name, "HEADWATER_") && !slices.Contains(known, name) && !slices.Contains(testVariables, name) {
			errs = append(errs, fmt.Errorf("unknown variable %s; `headwater serve --help` lists the known ones", name))
		}
	}
	return errors.Join(errs...)
}

// makeDataDir creates the data directory and its folders, accessible to this
// user alone.
func (c *Config) makeDataDir() error {
	for _, dir := range []string{c.DataDir, c.path("keys"), c.path("bus"), c.path("projection")} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return fmt.Errorf("--data-dir: %w", err)
		}
	}
	if err := os.Chmod(c.DataDir, 0o700); err != nil {
		return fmt.Errorf("--data-dir: %w", err)
	}
	return os.MkdirAll(c.FilesRoot, 0o700)
}
