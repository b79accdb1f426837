package sqldb

import (
	"crypto/tls"
	"crypto/x509"
	"errors"

	"headwater/connectors/driver"
)

// TLS says how a source speaks TLS, in the terms of database clients: the modes of
// sslmode, a certificate authority, a client certificate.
type TLS struct {
	Host        string
	Mode        string // disable, prefer, require, verify-ca, verify-full
	Authority   string // PEM, "" for those of the system
	Certificate string // PEM of the client, "" for none
	Key         string // PEM of the certificate
}

// Validate returns an error that names a setting which cannot be used.
func (s TLS) Validate() error {
	if _, err := s.identity(); err != nil {
		return err
	}
	_, err := s.roots()
	return err
}

// ErrNoTLS says that the server has no TLS.
var ErrNoTLS = driver.E(driver.ErrUnreachable, nil, "the server has no TLS: set sslmode to prefer, or to disable, if that is acceptable")

// Config returns the configuration of a client, nil for no TLS. The error names the setting.
func (s TLS) Config() (*tls.Config, error) {
	cfg := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: s.Host, InsecureSkipVerify: true}
	switch s.Mode {
	case "disable":
		return nil, nil
	case "verify-full", "verify-ca":
		roots, err := s.roots()
		if err != nil {
			return nil, err
		}
		cfg.RootCAs = roots
		if s.Mode == "verify-ca" {
			cfg.VerifyConnection = func(state tls.ConnectionState) error { return signed(state, roots) }
		} else {
			cfg.InsecureSkipVerify = false
		}
	}
	own, err := s.identity()
	if own != nil {
		cfg.Certificates = []tls.Certificate{*own}
	}
	return cfg, err
}

// Strict reports whether TLS is required.
func (s TLS) Strict() bool {
	return s.Mode == "require" || s.Mode == "verify-ca" || s.Mode == "verify-full"
}

// signed verifies who signed the server's certificate, and not its name.
func signed(state tls.ConnectionState, roots *x509.CertPool) error {
	if len(state.PeerCertificates) == 0 {
		return x509.UnknownAuthorityError{}
	}
	between := x509.NewCertPool()
	for _, c := range state.PeerCertificates[1:] {
		between.AddCert(c)
	}
	_, err := state.PeerCertificates[0].Verify(x509.VerifyOptions{Roots: roots, Intermediates: between})
	return err
}

// identity returns the client certificate, nil if there is none.
func (s TLS) identity() (*tls.Certificate, error) {
	switch {
	case s.Certificate == "" && s.Key == "":
		return nil, nil
	case s.Certificate == "":
		return nil, driver.InvalidField("client_certificate", "is missing: client_key is of no use without it")
	case s.Key == "":
		return nil, driver.InvalidField("client_key", "is missing: client_certificate is of no use without it")
	case s.Mode == "disable":
		return nil, driver.InvalidField("client_certificate", "needs TLS: set sslmode to require or more")
	}
	pair, err := tls.X509KeyPair([]byte(s.Certificate), []byte(s.Key))
	if err != nil {
		// The library's error may contain a part of the key.
		return nil, driver.InvalidField("client_certificate", "and client_key are not a PEM certificate and its own unencrypted PEM key")
	}
	return &pair, nil
}

// roots returns the trusted authorities, nil for the system's.
func (s TLS) roots() (*x509.CertPool, error) {
	if s.Authority == "" {
		return nil, nil
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM([]byte(s.Authority)) {
		return nil, driver.InvalidField("ca_certificate", "holds no PEM certificate")
	}
	return pool, nil
}

// HandshakeError explains a failed handshake: which side did not trust the other, and why.
func HandshakeError(err error) error {
	var (
		authority x509.UnknownAuthorityError
		name      x509.HostnameError
		invalid   x509.CertificateInvalidError
	)
	switch {
	case errors.As(err, &authority):
		return driver.E(driver.ErrUnreachable, nil, "the server's certificate is signed by an authority that is not trusted: give the authority's certificate in connection_config.ca_certificate")
	case errors.As(err, &name):
		return driver.E(driver.ErrUnreachable, nil, "the server's certificate is for another host name than connection_config.host: connect by the name in the certificate, or set sslmode to verify-ca, which does not compare names")
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return driver.E(driver.ErrUnreachable, nil, "the server's certificate has expired or is not valid yet: renew it on the server")
	case errors.As(err, &invalid):
		return driver.E(driver.ErrUnreachable, err, "the server's certificate is not valid")
	}
	return driver.E(driver.ErrUnreachable, err, "TLS with the server failed; sslmode require does not check its certificate")
}
