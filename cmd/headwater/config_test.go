package main

import (
	"strings"
	"testing"
	"time"
)

func validConfig() Config {
	return Config{
		Listen: "127.0.0.1:8080", DataDir: "d", NATSListen: "127.0.0.1:4222", EgressAllow: "auto",
		Roles: []string{"api", "worker"}, MetricsListen: "off", Wait: time.Minute,
	}
}

func TestValidateNamesEveryMistake(t *testing.T) {
	if c := validConfig(); c.Validate() != nil {
		t.Fatalf("the defaults are refused: %v", c.Validate())
	}
	for want, spoil := range map[string]func(*Config){
		"--listen":                func(c *Config) { c.Listen = "8080" },
		"--nats-listen":           func(c *Config) { c.NATSListen = "nowhere" },
		"--jwks-url":              func(c *Config) { c.JWKSURL = "ftp://keys" },
		"--roles":                 func(c *Config) { c.Roles = []string{"api"} },
		"--replicas":              func(c *Config) { c.Replicas = 3 },
		"--nats-creds":            func(c *Config) { c.NATSCreds = "x.creds" },
		"--nats-auth-issuer-file": func(c *Config) { c.NATSAuthIssuerFile = "issuer.seed" },
		"--nats-auth-account":     func(c *Config) { c.NATSURL, c.NATSAuthAccount = "nats://x", "A" },
		"--wait":                  func(c *Config) { c.Wait = 0 },
		"--audit-every":           func(c *Config) { c.AuditEvery = -1 },
		"--snapshot-every":        func(c *Config) { c.SnapshotEvents = 1 },
		"--grace: must be":        func(c *Config) { c.Grace = -time.Second },
		"--grace":                 func(c *Config) { c.Grace = maxGrace + 1 },
	} {
		c := validConfig()
		spoil(&c)
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want an error that names %s, got %v", want, err)
		}
	}
	c := validConfig()
	c.SnapshotEvents = 1
	if err := c.Validate(); err == nil || strings.Contains(err.Error(), "--grace") {
		t.Errorf("a mistake in one flag must not be told of another: %v", err)
	}
	c = validConfig()
	c.Listen, c.Roles = "x", nil
	if err := c.Validate(); err == nil || !strings.Contains(err.Error(), "--listen") || !strings.Contains(err.Error(), "--roles") {
		t.Errorf("two mistakes must both be named, got %v", err)
	}
}

func TestUnknownVariablesAreRefused(t *testing.T) {
	known := []string{"HEADWATER_LISTEN"}
	if err := unknownVariables([]string{"HEADWATER_LISTEN=x", "PATH=/bin"}, known); err != nil {
		t.Errorf("known variables refused: %v", err)
	}
	err := unknownVariables([]string{"HEADWATER_LISTENS=secret-value"}, known)
	if err == nil || !strings.Contains(err.Error(), "HEADWATER_LISTENS") || strings.Contains(err.Error(), "secret-value") {
		t.Errorf("a typo must be named without its value, got %v", err)
	}
}

func TestLoopback(t *testing.T) {
	for listen, want := range map[string]bool{"127.0.0.1:1": true, "[::1]:1": true, "localhost:1": true, "0.0.0.0:1": false, ":1": false, "10.0.0.1:1": false} {
		c := Config{Listen: listen}
		if c.loopback() != want {
			t.Errorf("loopback(%s) = %v", listen, !want)
		}
	}
}
