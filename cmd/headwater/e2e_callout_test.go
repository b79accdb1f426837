package main

import (
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"headwater/bus/bustest"
)

// TestTokensOnOwnCluster has the nats command line read events with a token on
// a nats-server that is configured as auth_callout.conf says.
func TestTokensOnOwnCluster(t *testing.T) {
	t.Parallel() // it waits more than it computes
	program := bustest.Nats(t)
	seed, public := bustest.Issuer(t)
	cfg := testConfig(t)
	cfg.NATSAuthIssuerFile = filepath.Join(t.TempDir(), "issuer.seed")
	if err := os.WriteFile(cfg.NATSAuthIssuerFile, append(seed, '\n'), 0o600); err != nil {
		t.Fatal(err)
	}
	conf := bustest.CalloutConfig(t, "../../bus/auth_callout.conf", public, "s3cret")
	cluster := bustest.StartConfigured(t, 1, conf, url.UserPassword("headwater", "s3cret"))
	cfg.NATSURL, cfg.Replicas = cluster.URL, 1
	n := startTestNode(t, cfg)
	ada := n.as(t, "acme", "ada", "viewer")
	n.as(t, "acme", "ada", "editor").post("/data/w/test-connection", object{"source_config": object{"type": "file", "connection_config": object{"path": "none.csv"}}})

	nats := func(user, token, prefix string, args ...string) (string, error) {
		cmd := exec.Command(program, append([]string{"--server", "nats://" + cluster.Address(0), "--user", user, "--password", token, "--inbox-prefix", prefix, "--timeout", "30s"}, args...)...)
		cmd.Env = []string{"HOME=" + t.TempDir()}
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	const inbox = "_INBOX.acme.ada"
	if out, err := nats("any", ada.token, inbox, "sub", "-T", "--stream", "HEADWATER_EVENTS", "--start-sequence", "1"); err != nil || !strings.Contains(out, "headwater.ConnectionTested.v1") {
		t.Errorf("replay: %v\n%s", err, out)
	}
	add := func(name string) (string, error) {
		return nats("any", ada.token, inbox, "consumer", "add", "HEADWATER_EVENTS", name, "--pull", "--deliver", "all", "--filter", "headwater.events.acme.*.ada.>", "--defaults")
	}
	out, err := add("billing")
	_, name, told := strings.Cut(out, "take billing-")
	if err == nil || !told {
		t.Fatalf("a name to guess: %v\n%s", err, out)
	}
	name = "billing-" + strings.FieldsFunc(name, func(r rune) bool { return r == ' ' || r == '\n' })[0]
	if out, err := add(name); err != nil {
		t.Fatalf("the name that was told: %v\n%s", err, out)
	}
	if out, err := nats("any", ada.token, inbox, "consumer", "next", "HEADWATER_EVENTS", name); err != nil || !strings.Contains(out, "Acknowledged message") {
		t.Errorf("next: %v\n%s", err, out)
	}
	for what, token := range map[string]string{"another organization, without an account": n.as(t, "other", "eve", "admin").token, "no token": "x"} {
		if out, err := nats("any", token, "_INBOX.other.eve", "sub", "-T", "--stream", "HEADWATER_EVENTS", "--all"); err == nil || !strings.Contains(out, "Authorization Violation") {
			t.Errorf("%s: %v\n%s", what, err, out)
		}
	}
}
