package mysql

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"headwater/connectors/driver"
	"headwater/connectors/drivertest/servers"
	"headwater/connectors/mysql/session"
	"headwater/connectors/sqldb"
)

func TestTLS(t *testing.T) {
	t.Parallel()
	files := makeCertificate(t)
	server := servers.MariaDBWith(t, "--ssl-cert="+files.certificate, "--ssl-key="+files.key, "--ssl-ca="+files.certificate)
	db, err := server.OpenMariaDB()
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.ExecContext(t.Context(), "CREATE TABLE t AS SELECT seq AS i, REPEAT('x', 1000) AS x FROM seq_1_to_50000; CREATE USER signed IDENTIFIED BY 'signed-pass-1190' REQUIRE X509; GRANT SELECT ON headwater.* TO signed; CREATE USER safe IDENTIFIED BY 'signed-pass-1190' REQUIRE SSL; GRANT SELECT ON headwater.* TO safe"); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		change func(*session.Settings)
		step   string // the message of the connect step, or a part of the failure's
		fails  error
	}{
		"verify the authority": {func(s *session.Settings) {
			s.SSLMode, s.CACertificate, s.Host = "verify-ca", files.authority, "localhost"
		}, "encrypted", nil},
		"an authority, unknown": {func(s *session.Settings) { s.SSLMode = "verify-ca" }, "ca_certificate", driver.ErrUnreachable},
		"a certificate of ours": {func(s *session.Settings) {
			as(s, "signed")
			s.SSLMode, s.ClientCertificate, s.ClientKey = "require", files.authority, files.private
		}, "encrypted", nil},
		"no certificate of ours": {func(s *session.Settings) { as(s, "signed"); s.SSLMode = "require" }, "client_certificate", driver.ErrAuthentication},
		"TLS is required":        {func(s *session.Settings) { as(s, "safe"); s.SSLMode = "disable" }, "REQUIRE SSL", driver.ErrAuthentication},
		"TLS, as is required":    {func(s *session.Settings) { as(s, "safe") }, "encrypted", nil},
		"prefer":                 {func(s *session.Settings) {}, "encrypted", nil},
		"disable":                {func(s *session.Settings) { s.SSLMode = "disable" }, "not encrypted", nil},
		"require":                {func(s *session.Settings) { s.SSLMode = "require" }, "encrypted", nil},
		"verify":                 {func(s *session.Settings) { s.SSLMode, s.CACertificate = "verify-full", files.authority }, "encrypted", nil},
		"unknown authority":      {func(s *session.Settings) { s.SSLMode = "verify-full" }, "ca_certificate", driver.ErrUnreachable},
		"another name than that": {func(s *session.Settings) {
			s.SSLMode, s.CACertificate, s.Host = "verify-full", files.authority, "localhost"
		}, "another host name", driver.ErrUnreachable},
		"wrong password": {func(s *session.Settings) { s.SSLMode, s.Password = "require", "wrong-pass-5520" }, "", driver.ErrAuthentication},
	} {
		t.Run(name, func(t *testing.T) {
			src := openSource(t, settingsOf(server, c.change))
			steps, err := src.CheckSteps(t.Context())
			if c.fails != nil {
				if !errors.Is(err, c.fails) || !strings.Contains(err.Error(), c.step) {
					t.Errorf("CheckSteps = %v, want %v", err, c.fails)
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
			tables, err := src.Discover(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			for _, want := range []int64{1, 50000} { // left early, and read whole
				var rows int64
				for b, err := range src.Read(t.Context(), tables[0], driver.Cursor{}) {
					if err != nil {
						t.Fatal(err)
					}
					rows += b.Record.NumRows()
					b.Record.Release()
					if want == 1 {
						break
					}
				}
				if rows < want {
					t.Errorf("%d rows, want %d", rows, want)
				}
			}
		})
	}
}

// as makes the settings those of an account that the test made.
func as(s *session.Settings, user string) { s.Username, s.Password = user, "signed-pass-1190" }

// TestNoTLS has a server without TLS: only who asks for it is refused.
func TestNoTLS(t *testing.T) {
	t.Parallel()
	server := servers.MariaDB(t)
	for _, mode := range []string{"disable", "prefer", "require", "verify-ca", "verify-full"} {
		src := openSource(t, settingsOf(server, func(s *session.Settings) { s.SSLMode = mode }))
		_, err := src.CheckSteps(t.Context())
		if strict := mode != "disable" && mode != "prefer"; strict != (err != nil) || strict && !strings.Contains(err.Error(), "no TLS") {
			t.Errorf("%s, where there is no TLS: %v", mode, err)
		}
	}
}

// A certificate without its key, and a key of another, are refused before
// anything is dialled, and no part of the key is shown.
func TestClientCertificates(t *testing.T) {
	one, other := makeCertificate(t), makeCertificate(t)
	for name, c := range map[string]struct {
		settings session.Settings
		says     string
	}{
		"no key":         {session.Settings{Settings: sqldb.Settings{ClientCertificate: one.authority}}, "client_key is missing"},
		"no certificate": {session.Settings{Settings: sqldb.Settings{ClientKey: one.private}}, "client_certificate is missing"},
		"not its key":    {session.Settings{Settings: sqldb.Settings{ClientCertificate: one.authority, ClientKey: other.private}}, "its own"},
		"without TLS":    {session.Settings{Settings: sqldb.Settings{ClientCertificate: one.authority, ClientKey: one.private, SSLMode: "disable"}}, "needs TLS"},
		"an odd type":    {session.Settings{ColumnTypes: map[string]string{"t.d": "int64"}}, "column_types"},
	} {
		c.settings.Username = "u"
		if err := c.settings.Validate(); !errors.Is(err, driver.ErrInvalidConfig) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// settingsOf returns what opens the server's database, changed.
func settingsOf(server *servers.Server, change func(*session.Settings)) session.Settings {
	s := session.Settings{Settings: sqldb.Settings{Host: server.Host, Username: server.User, Password: server.Password}, Port: server.Port, Database: server.Database}
	change(&s)
	return s
}

func openSource(t testing.TB, settings session.Settings) *source {
	t.Helper()
	return openThrough(t, settings, driver.Config{Dial: (&net.Dialer{}).DialContext})
}

// openThrough opens a source with a dial and limits of the test's own.
func openThrough(t testing.TB, settings session.Settings, cfg driver.Config) *source {
	t.Helper()
	raw, err := json.Marshal(settings)
	if err != nil {
		t.Fatal(err)
	}
	cfg.Settings = raw
	src, err := Driver{}.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { src.Close() })
	return src.(*source)
}

// files are where a server finds its certificate and key.
type files struct {
	certificate, key string
	authority        string // the certificate as PEM
	private          string // and its key
}

// makeCertificate makes a certificate for 127.0.0.1 that signs itself.
func makeCertificate(t testing.TB) files {
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
	// Not t.TempDir: its parents are closed to the account the server runs as.
	dir, err := os.MkdirTemp("", "headwater-certificate-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	made := files{certificate: filepath.Join(dir, "server.crt"), key: filepath.Join(dir, "server.key")}
	certificate := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	made.authority = string(certificate)
	made.private = string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}))
	err = errors.Join(os.Chmod(dir, 0o755), os.WriteFile(made.certificate, certificate, 0o644),
		os.WriteFile(made.key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}), 0o644))
	if err != nil {
		t.Fatal(err)
	}
	return made
}
