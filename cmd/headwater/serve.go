package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"headwater/api/auth"
	"headwater/bus/event"
	"headwater/cmd/headwater/demo"
	"headwater/cmd/headwater/exit"
	"headwater/cmd/headwater/ops"
	"headwater/cmd/headwater/terminal"
	"headwater/connectors"
)

// ServeCmd runs the service until the context is done.
type ServeCmd struct {
	Config
	Verbose bool `short:"v" help:"The same as --log-level debug."`
}

// Run prints where the service listens, serves until ctx is done, and drains. It
// returns the error of a failed start, or of a part that ended by itself.
func (c *ServeCmd) Run(ctx context.Context, s terminal.Streams) error {
	if err := c.Validate(); err != nil {
		return exit.With(exit.Usage, err)
	}
	_, err := os.Stat(c.DataDir)
	first := errors.Is(err, fs.ErrNotExist)
	log := c.log(s.Err)
	slog.SetDefault(ops.Library(log)) // also sets the output of package log
	c.useProcessors()
	n, err := startNode(ctx, c.Config, log)
	if err != nil {
		return err
	}
	s.Note("headwater serves at %s", n.URL)
	if n.NATS != "" {
		s.Note("  events    nats://%s (a token is the password)", n.NATS)
	}
	s.Note("  data      %s", absolute(c.DataDir))
	s.Note("  lake      %s", n.Lake)
	s.Note("  files     %s", c.filesPlace())
	if first && c.JWKSURL == "" {
		s.Note("\nFirst start. A token to try it with, in another terminal:\n  export HEADWATER_TOKEN=$(%[1]s token --data-dir %[2]q --org acme --user ada)\n  %[1]s list", program(os.Args[0]), c.DataDir)
	}
	select {
	case <-ctx.Done():
		s.Note("draining")
	case err = <-n.failed:
	}
	return errors.Join(err, n.Close(context.WithoutCancel(ctx)))
}

// log returns the log that the flags describe.
func (c *ServeCmd) log(w io.Writer) *slog.Logger {
	var level slog.Level
	if err := level.UnmarshalText([]byte(c.LogLevel)); err != nil { // the level of a Config not made by flags may be empty
		level = slog.LevelInfo
	}
	if c.Verbose {
		level = slog.LevelDebug
	}
	if c.LogFormat == ops.Text || c.LogFormat == ops.JSON {
		return ops.NewLog(w, level, c.LogFormat)
	}
	return newLog(w, level)
}

// useProcessors raises GOMAXPROCS above the number of processors, unless the
// environment sets it. The embedded broker's writers mostly wait for the disk,
// and the runtime counts a waiting writer as running.
func (c *ServeCmd) useProcessors() {
	if c.NATSURL == "" && os.Getenv("GOMAXPROCS") == "" {
		runtime.GOMAXPROCS(runtime.GOMAXPROCS(0) + 2)
	}
}

// program returns how to call this program again: as it was called, or by its
// name if that was from a folder that 'go run' removes.
func program(called string) string {
	if !strings.ContainsRune(called, filepath.Separator) || strings.Contains(called, string(filepath.Separator)+"go-build") {
		return "headwater"
	}
	return called
}

func absolute(path string) string {
	if full, err := filepath.Abs(path); err == nil {
		return full
	}
	return path
}

// TokenCmd prints a token signed with the service's own key.
type TokenCmd struct {
	Org           string        `required:"" help:"Organization of the token's user."`
	User          string        `required:"" help:"User name of the token's user."`
	Role          string        `enum:"viewer,editor,admin" default:"editor" help:"viewer, editor or admin."`
	TTL           time.Duration `name:"ttl" default:"24h" help:"How long the token is valid."`
	DataDir       string        `env:"HEADWATER_DATA_DIR" default:"./headwater-data" help:"Data directory of the service."`
	FilesRoot     string        `env:"HEADWATER_FILES_ROOT" help:"Files root of the service (default <data-dir>/files). It belongs to the first token's organization, while there is no other."`
	JWTSecretFile string        `name:"jwt-secret-file" env:"HEADWATER_JWT_SECRET_FILE" help:"HS256 key that signs tokens (default <data-dir>/keys/jwt.key)."`
	JWTIssuer     string        `name:"jwt-issuer" env:"HEADWATER_JWT_ISSUER" help:"Issuer claim of the token."`
	JWTAudience   string        `name:"jwt-audience" env:"HEADWATER_JWT_AUDIENCE" help:"Audience claim of the token."`
}

// Run prints only the token on Out. It creates no key: the service would not
// know a key stored elsewhere.
func (c *TokenCmd) Run(ctx context.Context, s terminal.Streams) error {
	if c.JWTSecretFile == "" {
		c.JWTSecretFile = filepath.Join(c.DataDir, "keys", "jwt.key")
	}
	if _, err := os.Stat(c.JWTSecretFile); errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("no key at %s: the first start of 'headwater serve' makes it; --data-dir or HEADWATER_DATA_DIR says where the service keeps its data", absolute(c.JWTSecretFile))
	}
	key, err := auth.LoadOrCreateKey(c.JWTSecretFile)
	if err != nil {
		return err
	}
	tokens, err := auth.New(ctx, auth.Config{Key: key, Issuer: c.JWTIssuer, Audience: c.JWTAudience})
	if err != nil {
		return err
	}
	token, err := tokens.Issue(auth.Claims{Organization: c.Org, Username: c.User, Role: c.Role}, c.TTL)
	if err != nil {
		return err
	}
	root := c.FilesRoot
	if root == "" {
		root = filepath.Join(c.DataDir, "files")
	}
	// For a service with its data elsewhere this is not needed.
	if folder, err := connectors.Introduce(root, event.Token(c.Org), true); err == nil && folder != "" {
		s.Note("Local files of %[1]s lie in %[2]s (unless the service has --files-of), and nobody's straight in %[3]s: if that was another organization's alone, move its files into its folder; if the name of either is a mistake, remove its line from %[3]s/.organizations",
			c.Org, absolute(folder), absolute(root))
	}
	_, err = fmt.Fprintln(s.Out, token)
	return err
}

// startDemo runs the service for the demo, with no listener but the API's.
func startDemo(ctx context.Context, d demo.Server) (baseURL, token string, stop func(context.Context) error, err error) {
	cfg := Config{
		Listen: d.Listen, DataDir: d.DataDir, FilesRoot: d.FilesRoot, FilesOf: d.Organization, NATSListen: "off", EgressAllow: "auto",
		Roles: []string{roleAPI, roleWorker}, MetricsListen: "off", Wait: time.Minute,
	}
	n, err := startNode(ctx, cfg, newLog(os.Stderr, slog.LevelWarn))
	if err != nil {
		return "", "", nil, err
	}
	token, err = n.issue(auth.Claims{Organization: d.Organization, Username: d.User, Role: auth.RoleEditor}, 24*time.Hour)
	if err != nil {
		return "", "", nil, errors.Join(err, n.Close(context.WithoutCancel(ctx)))
	}
	return n.URL, token, n.Close, nil
}
