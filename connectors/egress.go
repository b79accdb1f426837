package connectors

import (
	"fmt"
	"net/netip"
	"strings"

	"code.dny.dev/ssrf"
)

// Policy says which addresses sources may be reached at. The zero Policy allows
// the public internet, on any port, and nothing else.
type Policy struct {
	allow []netip.Prefix
}

// privateAndLoopback is what "auto" adds while only this machine can reach the
// API.
const privateAndLoopback = "127.0.0.0/8,::1/128,10.0.0.0/8,172.16.0.0/12,192.168.0.0/16,fc00::/7"

// never are the networks that no policy opens: what they reach is this machine's
// own neighbourhood, or an IPv4 address in disguise that would pass as public.
const never = "0.0.0.0/8,169.254.0.0/16,224.0.0.0/4,240.0.0.0/4," + // unspecified, link-local with the clouds' metadata, multicast, reserved and broadcast
	"100.100.100.200/32,168.63.129.16/32,192.0.0.192/32,fd00:ec2::/32," + // metadata services outside link-local
	"::/128,fe80::/10,fec0::/10,ff00::/8," + // unspecified, link-local, site-local, multicast
	"::ffff:0:0:0/96,64:ff9b::/96,64:ff9b:1::/48,2002::/16,2001::/32" // translated IPv4, NAT64, 6to4, Teredo

// ParsePolicy reads "auto" or a list of networks ("10.1.0.0/16,192.168.7.9/32")
// that sources may reach beyond the public internet. auto allows private and
// loopback networks only while the API itself listens on loopback. Link-local
// and metadata networks can not be allowed.
func ParsePolicy(spec string, loopbackListener bool) (Policy, error) {
	spec = strings.TrimSpace(spec)
	if spec == "" || spec == "auto" {
		if !loopbackListener {
			return Policy{}, nil
		}
		return Policy{allow: parsePrefixes(privateAndLoopback)}, nil
	}
	var p Policy
	for part := range strings.SplitSeq(spec, ",") {
		prefix, err := netip.ParsePrefix(strings.TrimSpace(part))
		if err != nil {
			return Policy{}, fmt.Errorf("egress network %q: want auto, or networks such as 10.1.0.0/16 separated by commas", part)
		}
		prefix = prefix.Masked()
		for _, refused := range parsePrefixes(never) {
			if refused.Contains(prefix.Addr()) && refused.Bits() <= prefix.Bits() {
				return Policy{}, fmt.Errorf("egress network %s lies in %s, which is never allowed", prefix, refused)
			}
		}
		p.allow = append(p.allow, prefix)
	}
	return p, nil
}

// Allows reports whether a connection may be made to the address.
func (p Policy) Allows(addr netip.Addr) bool {
	addr = addr.Unmap().WithZone("")
	for _, refused := range parsePrefixes(never) {
		if refused.Contains(addr) {
			return false
		}
	}
	for _, prefix := range p.allow {
		if prefix.Contains(addr) {
			return true
		}
	}
	return ssrf.New().SafeAddr(addr) == nil
}

// parsePrefixes reads one of the lists above.
func parsePrefixes(list string) []netip.Prefix {
	var prefixes []netip.Prefix
	for part := range strings.SplitSeq(list, ",") {
		prefixes = append(prefixes, netip.MustParsePrefix(part))
	}
	return prefixes
}
