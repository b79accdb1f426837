package connectors

import (
	"net/netip"
	"testing"
)

func TestPolicy(t *testing.T) {
	public, err := ParsePolicy("auto", false)
	if err != nil {
		t.Fatal(err)
	}
	local, _ := ParsePolicy("auto", true)
	listed, err := ParsePolicy("10.1.0.0/16, fd00:1::/32,100.64.0.0/10", false)
	if err != nil {
		t.Fatal(err)
	}
	wide, err := ParsePolicy("0.0.0.0/0,::/0", false)
	if err != nil {
		t.Fatal(err)
	}
	both, err := ParsePolicy("100.64.0.0/10, auto", true)
	if err != nil {
		t.Fatal(err)
	}
	closed, err := ParsePolicy("auto,10.1.0.0/16,fd00:1::/32,100.64.0.0/10", false)
	if err != nil {
		t.Fatal(err)
	}
	const P, L, C, W = "public", "local", "listed", "wide"
	policies := map[string]Policy{P: public, L: local, C: listed, W: wide, "zero": {}}
	for address, allowed := range map[string][2]bool{
		"8.8.8.8": {true, true}, "127.0.0.1": {true, false}, "10.1.2.3": {true, true}, "10.2.0.1": {true, false}, "100.64.0.1": {true, true}, "198.18.0.1": {}, "fd20:ce::254": {},
	} {
		if got := [2]bool{both.Allows(netip.MustParseAddr(address)), closed.Allows(netip.MustParseAddr(address))}; got != allowed {
			t.Errorf("auto beside networks, of an API on loopback and of a public one: %s %v, want %v", address, got, allowed)
		}
	}
	for address, allowed := range map[string][]string{
		"8.8.8.8": {P, L, C, W, "zero"}, "2606:4700::1111": {P, L, C, W, "zero"}, "::ffff:8.8.8.8": {P, L, C, W, "zero"},
		"127.0.0.1": {L, W}, "127.8.9.1": {L, W}, "::1": {L, W}, "::ffff:127.0.0.1": {L, W},
		"10.0.0.1": {L, W}, "10.1.2.3": {L, C, W}, "::ffff:10.1.2.3": {L, C, W}, "172.16.0.1": {L, W}, "172.31.255.255": {L, W}, "192.168.1.1": {L, W},
		"fd00:1::1": {L, C, W}, "fc00::1": {L, W}, "100.64.0.1": {C, W}, "198.18.0.1": {W}, "192.0.2.1": {W}, "2001:db8::1": {W}, "3fff::1": {W},
		// Never, whatever is allowed.
		"0.0.0.0": nil, "0.1.2.3": nil, "::": nil, "255.255.255.255": nil, "240.0.0.1": nil, "224.0.0.1": nil, "ff02::1": nil,
		"169.254.169.254": nil, "169.254.0.1": nil, "::ffff:169.254.169.254": nil, "::ffff:100.100.100.200": nil, "::ffff:192.0.0.192": nil, "fe80::1": nil, "fe80::1%eth0": nil, "fec0::1": nil,
		// The clouds' metadata over IPv6: AWS, Google, Scaleway, Oracle, Linode, Alibaba.
		"fd00:ec2::254": nil, "fd00:ec2::23": nil, "fd20:ce::254": nil, "fd20:ce::254%eth0": nil, "fd00:42::42": nil, "fd00:c1::a9fe:a9fe": nil, "fd00:a9fe:a9fe::1": nil, "fd00:100:100:200::": nil,
		// Translated by a prefix of the network's own, of each length; ISATAP; padded with zeros.
		"fd00:64::a9fe:a9fe": nil, "fd00:64::6464:64c8": nil, "fd00:64:a9fe:a9fe::": nil, "fd00:64:1a9:fea9:fe::": nil, "fd00:64:1:a9fe:a9:fe00::": nil,
		"fd00:64:1:aa9:fe:a9fe::": nil, "fd00:64:1:1:a9:fea9:fe00:0": nil, "fd00:64::5efe:a9fe:1": nil, "fd00:64::200:5efe:a9fe:a9fe": nil, "::169.254.169.254": nil, "::169.254.1.1": nil,
		"fd00:64::a9fe:1": {L, W}, "fd00:64::7f00:1": {L, W},
		"100.100.100.200": nil, "168.63.129.16": nil, "192.0.0.192": nil,
		"64:ff9b::a9fe:a9fe": nil, "64:ff9b:1::1": nil, "2002:a9fe:a9fe::1": nil, "2002:7f00:1::": nil, "2001:0:53aa:64c::1": nil, "::ffff:0:127.0.0.1": nil,
	} {
		for name, policy := range policies {
			want := false
			for _, a := range allowed {
				want = want || a == name
			}
			if got := policy.Allows(netip.MustParseAddr(address)); got != want {
				t.Errorf("%s allows %s: %v, want %v", name, address, got, want)
			}
		}
	}
	// An IPv4-compatible address is no public one.
	if public.Allows(netip.MustParseAddr("::127.0.0.1")) {
		t.Error("::127.0.0.1 is allowed")
	}
	for _, bad := range []string{"10.0.0.1", "everything", "10.0.0.0/8,", "169.254.0.0/16", "169.254.169.254/32", "fe80::/64", "64:ff9b::/96"} {
		if _, err := ParsePolicy(bad, true); err == nil {
			t.Errorf("ParsePolicy(%q) succeeded", bad)
		}
	}
}
