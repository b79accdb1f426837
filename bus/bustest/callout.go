package bustest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nats-io/nkeys"
)

// Issuer returns seed and public key of a new account nkey.
func Issuer(t testing.TB) (seed []byte, public string) {
	t.Helper()
	issuer, err := nkeys.CreateAccount()
	if err != nil {
		t.Fatal(err)
	}
	if seed, err = issuer.Seed(); err != nil {
		t.Fatal(err)
	}
	if public, err = issuer.PublicKey(); err != nil {
		t.Fatal(err)
	}
	return seed, public
}

// CalloutConfig returns the path of a server configuration:
// bus/auth_callout.conf, read from source, with the values that its user fills
// in, and an account for the organization evil in addition to acme.
func CalloutConfig(t testing.TB, source, issuer, password string) string {
	t.Helper()
	text, err := os.ReadFile(source)
	if err != nil {
		t.Fatal(err)
	}
	conf := string(text)
	at := strings.Index(conf, "  HEADWATER_acme {")
	acme := conf[at:strings.LastIndex(conf, "}")]
	conf = conf[:at] + acme + strings.NewReplacer("HEADWATER_acme", "HEADWATER_evil", "events.acme", "events.evil").Replace(acme) + "}\n"
	conf = strings.NewReplacer("$NATS_HEADWATER_ISSUER", issuer, "$NATS_HEADWATER_PASSWORD", password).Replace(conf)
	path := filepath.Join(t.TempDir(), "nats.conf")
	if err := os.WriteFile(path, []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
