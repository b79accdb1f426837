package connectors

import (
	"fmt"
	"net/netip"
	"slices"
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
// own neighbourhood, a service of the cloud that hands out credentials, or an
// IPv4 address in disguise that would pass as public.
const never = "0.0.0.0/8,169.254.0.0/16,224.0.0.0/4,240.0.0.0/4," + // unspecified, link-local with the clouds' metadata, multicast, reserved and broadcast
	"100.100.100.200/32,168.63.129.16/32,192.0.0.192/32," + // metadata outside link-local: Alibaba, Azure, Oracle
	"fd00:ec2::/32,fd20:ce::/32,fd00:42::/32,fd00:c1::/32,fd00:a9fe:a9fe::/48,fd00:100:100::/48," + // over IPv6: AWS, Google, Scaleway, Oracle, Linode, Alibaba
	"::/128,fe80::/10,fec0::/10,ff00::/8," + // unspecified, link-local, site-local, multicast
	"::ffff:0:0:0/96,64:ff9b::/96,64:ff9b:1::/48,2002::/16,2001::/32" // translated IPv4, NAT64, 6to4, Teredo

// metadata are the IPv4 addresses that are refused in any IPv6 address that a
// translator of its own prefix could turn into them.
const metadata = "169.254.169.254,169.254.170.2,169.254.170.23,169.254.42.42,169.254.0.23,100.100.100.200,168.63.129.16,192.0.0.192"

// embedded are the places of an IPv6 address in which translators look for an
// IPv4 address, by the length of their prefix (RFC 6052, which leaves out byte 8).
var embedded = [][4]int{{4, 5, 6, 7}, {5, 6, 7, 9}, {6, 7, 9, 10}, {7, 9, 10, 11}, {9, 10, 11, 12}, {12, 13, 14, 15}}

// ParsePolicy reads "auto", networks ("10.1.0.0/16,192.168.7.9/32") or both
// ("auto,10.1.0.0/16") that sources may reach beyond the public internet. auto
// allows private and loopback networks only while the API itself listens on
// loopback. Link-local and metadata networks can not be allowed.
func ParsePolicy(spec string, loopbackListener bool) (Policy, error) {
	if strings.TrimSpace(spec) == "" {
		spec = "auto"
	}
	var p Policy
	for part := range strings.SplitSeq(spec, ",") {
		if strings.TrimSpace(part) == "auto" {
			if loopbackListener {
				p.allow = append(p.allow, parsePrefixes(privateAndLoopback)...)
			}
			continue
		}
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
	if addr.Is6() && disguised(addr.As16()) {
		return false
	}
	for _, prefix := range p.allow {
		if prefix.Contains(addr) {
			return true
		}
	}
	return ssrf.New().SafeAddr(addr) == nil
}

// disguised reports whether an IPv6 address may stand for a link-local or
// metadata address of IPv4: a translator's, one of ISATAP, or one that only
// pads it with zeros.
func disguised(addr [16]byte) bool {
	for _, at := range embedded {
		v4 := netip.AddrFrom4([4]byte{addr[at[0]], addr[at[1]], addr[at[2]], addr[at[3]]})
		if slices.Contains(strings.Split(metadata, ","), v4.String()) {
			return true
		}
	}
	padded := [12]byte(addr[:12]) == [12]byte{}
	isatap := addr[8]&^2 == 0 && addr[9] == 0 && addr[10] == 0x5e && addr[11] == 0xfe
	last := netip.AddrFrom4([4]byte(addr[12:]))
	if !isatap && (!padded || netip.AddrFrom16(addr).IsLoopback()) {
		return false
	}
	for _, refused := range parsePrefixes(never) {
		if refused.Contains(last) {
			return true
		}
	}
	return false
}

// parsePrefixes reads one of the lists above.
func parsePrefixes(list string) []netip.Prefix {
	var prefixes []netip.Prefix
	for part := range strings.SplitSeq(list, ",") {
		prefixes = append(prefixes, netip.MustParsePrefix(part))
	}
	return prefixes
}
