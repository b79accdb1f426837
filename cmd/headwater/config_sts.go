package main

import (
	"net/netip"
	"net/url"
	"regexp"
	"strings"

	"headwater/handlers/landing/storage"
	"headwater/handlers/landing/tablekeys"
)

// roleARN is how roles of Amazon and of stores like it are named.
var roleARN = regexp.MustCompile(`^arn:[a-z0-9-]+:iam::([^:/]*:)?role/[A-Za-z0-9+=,.@_/-]+$`)

// maxARN is the length of the longest name of a role.
const maxARN = 2048

// vends reports whether the lake's store is asked for keys to single tables.
func (c *Config) vends() bool { return c.LakeSTSEndpoint != "" || c.LakeSTSRole != "" }

// checkSTS reports what is wrong with the settings of the lake's STS.
func (c *Config) checkSTS(wrong func(flag, format string, args ...any)) {
	if c.LakeSTSDuration == 0 {
		c.LakeSTSDuration = tablekeys.MostLife
	}
	if c.LakeSTSDuration < tablekeys.LeastLife || c.LakeSTSDuration > tablekeys.MostLife {
		wrong("lake-sts-duration", "must be 15m to 1h, not %v: keys cannot be taken back, and no STS gives them for less", c.LakeSTSDuration)
	}
	if !c.vends() {
		return
	}
	set := "lake-sts-endpoint"
	if c.LakeSTSEndpoint == "" {
		set = "lake-sts-role"
	}
	if !strings.HasPrefix(c.Lake, "s3://") {
		wrong(set, "needs a lake that is a bucket (--lake s3://...); a lake that is a folder gives out keys of its own")
		return
	}
	if c.LakeSTSRole != "" && (len(c.LakeSTSRole) > maxARN || !roleARN.MatchString(c.LakeSTSRole)) {
		wrong("lake-sts-role", "must be the ARN of a role, such as arn:aws:iam::123456789012:role/lake-reader, not %q", c.LakeSTSRole)
	}
	if c.LakeSTSEndpoint == "" {
		if storage.BucketOptions(c.Lake)["endpoint"] != "" {
			wrong("lake-sts-role", "needs --lake-sts-endpoint, the STS of the store at the endpoint of --lake; without it Amazon's would be asked")
		}
		return
	}
	u, err := url.Parse(c.LakeSTSEndpoint)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" || u.User != nil || u.RawQuery != "" || u.Fragment != "":
		wrong("lake-sts-endpoint", "must be an http or https URL without credentials, such as https://sts.eu-west-1.amazonaws.com")
	case u.Scheme == "http" && !isPrivate(u.Hostname()):
		wrong("lake-sts-endpoint", "must be https: it answers with keys, which anybody on the way to %s could read", u.Hostname())
	case c.LakeSTSRole == "" && strings.Contains(u.Hostname(), ".amazonaws.com"):
		wrong("lake-sts-role", "must be set: Amazon gives keys of a role only")
	}
}

// isPrivate reports whether a host is this machine or one of a private network, as far
// as its name says: a private address, a name without a dot, or one that is not of the
// public Internet.
func isPrivate(host string) bool {
	if ip, err := netip.ParseAddr(host); err == nil {
		ip = ip.Unmap()
		return ip.IsLoopback() || ip.IsPrivate()
	}
	name := strings.ToLower(strings.TrimSuffix(host, "."))
	if !strings.Contains(name, ".") {
		return true
	}
	for _, zone := range []string{".localhost", ".local", ".internal", ".lan", ".home.arpa", ".svc", ".test"} {
		if strings.HasSuffix(name, zone) {
			return true
		}
	}
	return false
}
