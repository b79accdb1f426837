package webhooks

import (
	"context"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"time"
)

const (
	maxURL      = 2000
	resolveTime = 5 * time.Second
)

// checkURL returns the parsed URL, or a *Problem that says what to change.
func checkURL(text string) (*url.URL, error) {
	wrong := func(message string) (*url.URL, error) { return nil, &Problem{ErrURL, message} }
	u, err := url.Parse(text)
	switch {
	case len(text) > maxURL:
		return wrong("must have at most " + strconv.Itoa(maxURL) + " characters")
	case err != nil || u.Opaque != "":
		return wrong("must be a URL such as https://example.com/hooks")
	case u.Scheme != "http" && u.Scheme != "https":
		return wrong("must begin with https:// or http://")
	case u.Hostname() == "":
		return wrong("has no host; write a URL such as https://example.com/hooks")
	case u.User != nil:
		return wrong("must hold no user name and password; receivers check the signature instead")
	case u.Fragment != "":
		return wrong("must hold no fragment (#...)")
	}
	if port := u.Port(); port != "" {
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
			return wrong("has a port that does not exist")
		}
	}
	return u, nil
}

// checkHost returns a *Problem if no connection to the URL's host would be
// permitted now. Every connection is checked again, because a name may resolve
// to another address.
func checkHost(ctx context.Context, u *url.URL, allows func(netip.Addr) bool) error {
	host := u.Hostname()
	refused := &Problem{ErrUnreachable, host + " cannot be reached from here: check its spelling, and that the operator's egress policy (--egress-allow) allows its address"}
	if addr, err := netip.ParseAddr(host); err == nil {
		if !allows(addr) {
			return refused
		}
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, resolveTime)
	defer cancel()
	addrs, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return refused
	}
	for _, addr := range addrs {
		if allows(addr) {
			return nil
		}
	}
	return refused
}
