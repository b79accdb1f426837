package postgres

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/binary"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"headwater/connectors/driver"
	"headwater/connectors/drivertest/servers"
	"headwater/connectors/postgres/session"
	"headwater/connectors/sqldb"
)

func TestTLS(t *testing.T) {
	server := servers.Postgres(t)
	for _, mode := range []string{"disable", "prefer", "require", "verify-ca", "verify-full"} { // it has no TLS yet
		src := openSource(t, session.Settings{Settings: sqldb.Settings{Host: server.Host, User: server.User, Password: server.Password, SSLMode: mode}, Port: server.Port, Database: server.Database})
		_, err := src.(driver.Stepper).CheckSteps(t.Context())
		if strict := mode != "disable" && mode != "prefer"; strict != (err != nil) || strict && !strings.Contains(err.Error(), "no TLS") {
			t.Errorf("%s, where there is no TLS: %v", mode, err)
		}
	}
	authority := giveCertificate(t, server)
	for name, c := range map[string]struct {
		change func(*session.Settings)
		step   string // the message of the connect step
		fails  string // what the failure says
	}{
		"prefer":                  {func(s *session.Settings) {}, "encrypted", ""},
		"disable":                 {func(s *session.Settings) { s.SSLMode = "disable" }, "not encrypted", ""},
		"require":                 {func(s *session.Settings) { s.SSLMode = "require" }, "encrypted", ""},
		"verify":                  {func(s *session.Settings) { s.SSLMode, s.CACertificate = "verify-full", authority }, "encrypted", ""},
		"verify the authority":    {func(s *session.Settings) { s.SSLMode, s.CACertificate, s.Host = "verify-ca", authority, "localhost" }, "encrypted", ""},
		"unknown authority":       {func(s *session.Settings) { s.SSLMode = "verify-full" }, "", "authority that is not trusted"},
		"nobody's authority":      {func(s *session.Settings) { s.SSLMode = "verify-ca" }, "", "authority that is not trusted"},
		"another name than that":  {func(s *session.Settings) { s.SSLMode, s.CACertificate, s.Host = "verify-full", authority, "localhost" }, "", "another host name"},
		"no TLS where it must be": {func(s *session.Settings) { s.SSLMode, s.User, s.Password = "disable", "over_tls", "tls-pass-8812" }, "", "over TLS only"},
		"no certificate":          {func(s *session.Settings) { s.User = "by_certificate" }, "", "client certificate"},
	} {
		t.Run(name, func(t *testing.T) {
			settings := session.Settings{Settings: sqldb.Settings{Host: server.Host, User: server.User, Password: server.Password}, Port: server.Port, Database: server.Database}
			c.change(&settings)
			src := openSource(t, settings)
			steps, err := src.(driver.Stepper).CheckSteps(t.Context())
			if c.fails != "" {
				if err == nil || !strings.Contains(err.Error(), c.fails) {
					t.Errorf("CheckSteps = %v, want %q", err, c.fails)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			for _, step := range steps {
				if step.Name == "connect" && step.Message != c.step {
					t.Errorf("connect is %s, want %s", step.Message, c.step)
				}
			}
			// Leaving a read asks the server to stop, over TLS too.
			if err := abandon(t, src); err != nil {
				t.Error(err)
			}
		})
	}
}

func openSource(t *testing.T, settings session.Settings) driver.Source {
	t.Helper()
	raw, err := json.Marshal(settings)
	if err != nil {
		t.Fatal(err)
	}
	src, err := Driver{}.Open(t.Context(), driver.Config{Settings: raw, Dial: (&net.Dialer{}).DialContext})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { src.Close() })
	return src
}

// abandon leaves a read of a table, if there is one, in the middle.
func abandon(t *testing.T, src driver.Source) error {
	tables, err := src.Discover(t.Context())
	if err != nil || len(tables) == 0 {
		return err
	}
	for b, err := range src.Read(t.Context(), tables[0], driver.Cursor{}) {
		if err != nil {
			return err
		}
		b.Record.Release()
		break
	}
	return nil
}

// giveCertificate turns TLS on with a certificate for 127.0.0.1 that signs
// itself, and fills a table. It returns the certificate as PEM.
func giveCertificate(t *testing.T, server *servers.Server) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	certificate := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	info, err := os.Stat(server.Dir)
	if err != nil {
		t.Fatal(err)
	}
	owner := info.Sys().(*syscall.Stat_t)
	for name, data := range map[string][]byte{"server.crt": certificate, "server.key": pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})} {
		path := filepath.Join(server.Dir, "data", name)
		if err := errors.Join(os.WriteFile(path, data, 0o600), os.Chown(path, int(owner.Uid), int(owner.Gid))); err != nil {
			t.Fatal(err)
		}
	}
	rules := filepath.Join(server.Dir, "data", "pg_hba.conf")
	before, err := os.ReadFile(rules)
	if err != nil {
		t.Fatal(err)
	}
	const first = "hostssl all over_tls 127.0.0.1/32 scram-sha-256\nhostssl all by_certificate 127.0.0.1/32 cert\n"
	if err := os.WriteFile(rules, append([]byte(first), bytes.ReplaceAll(before, []byte("host    all             all "), []byte("host    all             "+server.User))...), 0o600); err != nil {
		t.Fatal(err)
	}
	db, err := server.OpenPostgres()
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for _, statement := range []string{"CREATE ROLE over_tls LOGIN PASSWORD 'tls-pass-8812'", "CREATE ROLE by_certificate LOGIN", "ALTER SYSTEM SET ssl_ca_file = 'server.crt'", "ALTER SYSTEM SET ssl = on", "SELECT pg_reload_conf()", "CREATE TABLE t AS SELECT i, repeat('x', 1000) AS x FROM generate_series(1, 50000) i"} {
		if _, err := db.ExecContext(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	return string(certificate)
}

// A server, or somebody between, that says it has no TLS does not get the
// password in clear text.
func TestPasswordIsNotTricked(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	heard := make(chan []byte, 1)
	go func() {
		defer close(heard)
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		io.ReadFull(conn, make([]byte, 8)) // the request for TLS
		conn.Write([]byte{'N'})
		var size [4]byte
		io.ReadFull(conn, size[:])
		io.ReadFull(conn, make([]byte, binary.BigEndian.Uint32(size[:])-4)) // the start-up message
		conn.Write([]byte{'R', 0, 0, 0, 8, 0, 0, 0, 3})                     // wants the password in clear text
		rest, _ := io.ReadAll(conn)
		heard <- rest
	}()
	defer l.Close()
	src := openSource(t, session.Settings{Settings: sqldb.Settings{Host: "127.0.0.1", Username: "u", Password: "hunter2-canary"}, Port: l.Addr().(*net.TCPAddr).Port, Database: "d"})
	if err := src.Check(t.Context()); !errors.Is(err, driver.ErrAuthentication) {
		t.Errorf("Check = %v, want a refusal", err)
	}
	if rest := <-heard; bytes.Contains(rest, []byte("hunter2")) {
		t.Errorf("the password was sent: %q", rest)
	}
}
