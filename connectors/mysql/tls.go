package mysql

import (
	"crypto/tls"
	"crypto/x509"
	"errors"

	"headwater/connectors/driver"
)

// tls returns nil for no TLS.
func (s *Settings) tls() (*tls.Config, error) {
	cfg := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: s.Host, InsecureSkipVerify: true}
	switch s.SSLMode {
	case "disable":
		return nil, nil
	case "verify-full", "verify-ca":
		roots, err := s.roots()
		if err != nil {
			return nil, err
		}
		cfg.RootCAs = roots
		if s.SSLMode == "verify-ca" {
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

// strict reports whether a connection without TLS will not do.
func (s *Settings) strict() bool {
	return s.SSLMode == "require" || s.SSLMode == "verify-ca" || s.SSLMode == "verify-full"
}

// signed verifies who signed the server's certificate, whatever name it has.
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

// identity returns the client certificate, nil for none.
func (s *Settings) identity() (*tls.Certificate, error) {
	switch {
	case s.ClientCertificate == "" && s.ClientKey == "":
		return nil, nil
	case s.ClientCertificate == "":
		return nil, driver.E(driver.ErrInvalidConfig, nil, "connection_config.client_certificate is missing: client_key is of no use without it")
	case s.ClientKey == "":
		return nil, driver.E(driver.ErrInvalidConfig, nil, "connection_config.client_key is missing: client_certificate is of no use without it")
	case s.SSLMode == "disable":
		return nil, driver.E(driver.ErrInvalidConfig, nil, "connection_config.client_certificate needs TLS: set sslmode to require or more")
	}
	pair, err := tls.X509KeyPair([]byte(s.ClientCertificate), []byte(s.ClientKey))
	if err != nil {
		// What the library says may hold a part of the key.
		return nil, driver.E(driver.ErrInvalidConfig, nil, "connection_config.client_certificate and client_key are not a PEM certificate and its own unencrypted PEM key")
	}
	return &pair, nil
}

// roots returns the authorities to trust, nil for the system's.
func (s *Settings) roots() (*x509.CertPool, error) {
	if s.CACertificate == "" {
		return nil, nil
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM([]byte(s.CACertificate)) {
		return nil, driver.E(driver.ErrInvalidConfig, nil, "connection_config.ca_certificate holds no PEM certificate")
	}
	return pool, nil
}

// handshakeError says which of the two sides did not trust the other, and why.
func handshakeError(err error) error {
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
