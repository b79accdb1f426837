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

// TestSTSSettings holds which settings of the lake's STS are refused at the start, and
// what each refusal says to change.
func TestSTSSettings(t *testing.T) {
	const role, foreign, amazon = "arn:aws:iam::123456789012:role/lake-reader", "s3://lake/t?region=eu-west-1&endpoint=http://minio:9000", "s3://lake/t?region=eu-west-1"
	for _, s := range []struct {
		lake, endpoint, role string
		duration             time.Duration
		want                 string // "" for accepted
	}{
		{"", "", "", 0, ""},
		{amazon, "", role, 0, ""},
		{amazon, "https://sts.eu-west-1.amazonaws.com", role, 15 * time.Minute, ""},
		{foreign, "http://minio:9000", "", time.Hour, ""},
		{foreign, "http://127.0.0.1:9000", "", 0, ""},
		{foreign, "http://10.1.2.3:9000/sts", "arn:aws:iam:::role/S3Access", 0, ""},
		{foreign, "https://sts.example.com", "arn:aws:iam::role/Reader", 0, ""},
		{"", "http://minio:9000", "", 0, "--lake-sts-endpoint: needs a lake that is a bucket (--lake s3://"},
		{"", "", role, 0, "--lake-sts-role: needs a lake that is a bucket"},
		{foreign, "", role, 0, "--lake-sts-role: needs --lake-sts-endpoint"},
		{amazon, "https://sts.eu-west-1.amazonaws.com", "", 0, "--lake-sts-role: must be set"},
		{amazon, "", "lake-reader", 0, "--lake-sts-role: must be the ARN of a role, such as arn:aws:iam::"},
		{amazon, "", role + strings.Repeat("r", maxARN), 0, "--lake-sts-role: must be the ARN"},
		{amazon, "", "arn:aws:iam::123456789012:user/ada", 0, "--lake-sts-role: must be the ARN"},
		{foreign, "http://sts.example.com", "", 0, "--lake-sts-endpoint: must be https"},
		{foreign, "http://8.8.8.8", "", 0, "--lake-sts-endpoint: must be https"},
		{foreign, "http://internal.example.com", "", 0, "--lake-sts-endpoint: must be https"},
		{foreign, "minio:9000", "", 0, "--lake-sts-endpoint: must be an http or https URL"},
		{foreign, "https://", "", 0, "--lake-sts-endpoint: must be an http or https URL"},
		{foreign, "https://me:word@minio", "", 0, "--lake-sts-endpoint: must be an http or https URL without credentials"},
		{foreign, "https://minio", "", 5 * time.Minute, "--lake-sts-duration: must be 15m to 1h"},
		{foreign, "https://minio", "", 2 * time.Hour, "--lake-sts-duration: must be 15m to 1h"},
	} {
		c := validConfig()
		c.Lake, c.LakeSTSEndpoint, c.LakeSTSRole, c.LakeSTSDuration = s.lake, s.endpoint, s.role, s.duration
		err := c.Validate()
		if s.want == "" && (err != nil || c.LakeSTSDuration == 0) || s.want != "" && (err == nil || !strings.Contains(err.Error(), s.want) || strings.Contains(err.Error(), "word")) {
			t.Errorf("%+v: %v", s, err)
		}
	}
}
