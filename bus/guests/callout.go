package guests

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base32"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"
)

// AuthAccountDefault is the default account of an external cluster's
// subscribers: one for each organization.
const AuthAccountDefault = "HEADWATER_{organization}"

// calloutRevocable is how long a connection to an external cluster lasts if its
// token can be revoked. The client reconnects by itself.
const calloutRevocable = time.Minute

// callout decides about the connections of an external cluster, which asks by
// NATS auth callout (NATS ADR-26), as Authenticator does for the embedded
// broker.
type callout struct {
	issuer       nkeys.KeyPair
	secret       []byte // for the names of durables
	account      string
	authenticate func(password string) (Grant, error)
	log          *slog.Logger
}

// CalloutConfig says how to decide about an external cluster's connections.
type CalloutConfig struct {
	// Issuer is the seed of the account nkey that the cluster trusts for
	// callouts.
	Issuer []byte
	// Account is the account of guests. {organization} in it stands for the
	// organization's subject token. "" means AuthAccountDefault.
	Account string
	// Authenticate verifies a guest's token. It is called concurrently.
	Authenticate func(password string) (Grant, error)
	// Replicas is the number of copies of durable consumers; 0 means 1.
	Replicas int
	Log      *slog.Logger
}

// AnswerCallouts answers a cluster's auth callouts, and the requests of the
// guests that it admits, until nc is closed. It returns an error if the issuer
// is invalid or the connection fails.
func AnswerCallouts(nc *nats.Conn, cfg CalloutConfig) error {
	c := &callout{account: cfg.Account, authenticate: cfg.Authenticate, log: cfg.Log}
	if c.account == "" {
		c.account = AuthAccountDefault
	}
	seed := bytes.TrimSpace(cfg.Issuer)
	var err error
	if c.issuer, err = nkeys.FromSeed(seed); err != nil {
		return errors.New("the auth issuer is no nkey seed: make one with `nats auth nkey gen account`")
	}
	if public, err := c.issuer.PublicKey(); err != nil || !nkeys.IsValidPublicAccountKey(public) {
		return errors.New("the auth issuer is not the nkey of an account: its seed begins with SA")
	}
	if c.authenticate == nil {
		return errors.New("nobody judges the tokens of subscribers")
	}
	c.secret = calloutSecret(seed)

	p := newProxy(nc, cfg.Log)
	p.replicas, p.outside = max(1, cfg.Replicas), c
	if err := p.listen(); err != nil {
		return err
	}
	if _, err := nc.QueueSubscribe(server.AuthCalloutSubject, proxyQueue, c.receive); err != nil {
		return fmt.Errorf("answer the cluster's auth callout: %w", err)
	}
	return nc.FlushTimeout(proxyWait)
}

// receive answers one callout. A malformed one is not answered: the connection
// is refused when it times out.
func (c *callout) receive(m *nats.Msg) {
	question, err := jwt.DecodeAuthorizationRequestClaims(string(m.Data))
	if err != nil {
		c.log.Warn("the cluster asks about a connection in a way that is not understood; remove xkey from its auth_callout", "error", err)
		return
	}
	// In a goroutine, because fetching a JWKS may take time.
	go func() {
		answer := jwt.NewAuthorizationResponseClaims(question.UserNkey)
		answer.Audience = question.Server.ID
		if answer.Jwt, err = c.decide(question); err != nil {
			c.log.Debug("refused a subscriber", "address", question.ClientInformation.Host, "error", err)
			answer.Error = "the token is not valid" // the text ends up in the cluster's log
		}
		signed, err := answer.Encode(c.issuer)
		if err == nil {
			err = m.Respond([]byte(signed))
		}
		if err != nil {
			c.log.Warn("cannot answer the cluster's auth callout", "error", err)
		}
	}()
}

// decide returns the signed user JWT for a connection.
func (c *callout) decide(question *jwt.AuthorizationRequestClaims) (string, error) {
	token := question.ConnectOptions.Password
	if token == "" {
		token = question.ConnectOptions.Token
	}
	if token == "" {
		return "", errors.New("no token")
	}
	grant, err := c.authenticate(token)
	if err != nil {
		return "", err
	}
	if !eventFilters(grant.Subscribe) || !covers("_INBOX.>", grant.Inbox) {
		return "", errors.New("the token may read nothing, or more than events")
	}
	if !grant.Expires.IsZero() && !grant.Expires.After(time.Now()) {
		return "", errors.New("the token has expired")
	}
	organization := grantedOrganization(grant.Subscribe)
	filters := slices.Compact(slices.Sorted(slices.Values(grant.Subscribe)))

	user := jwt.NewUserClaims(question.UserNkey)
	user.Name = strings.Join(filters, " ") + " " + grant.Inbox // the proxy reads both from the name
	user.Audience = strings.ReplaceAll(c.account, "{organization}", organization)
	if !grant.Expires.IsZero() {
		user.Expires = grant.Expires.Unix()
	}
	if soon := time.Now().Add(calloutRevocable).Unix(); grant.ID != "" && (user.Expires == 0 || soon < user.Expires) {
		// The cluster asks again then. This service cannot close its
		// connections.
		user.Expires = soon
	}
	user.Limits.Subs = MaxSubscriptions
	user.Pub.Allow = guestCalls()
	user.Sub.Allow = append(jwt.StringList{grant.Inbox + ".>"}, filters...)
	return user.Encode(c.issuer)
}

// nameable refuses consumers with guessable names: in this account several
// grants can pull, and only an unguessable name keeps others out.
func (c *callout) nameable(who *guest, config *consumerConfig) error {
	if config.Durable == "" {
		if len(config.Name) < 8 {
			return errors.New("a consumer's name has 8 characters at least, such as clients make up")
		}
		return nil
	}
	if suffix := c.suffix(who); !strings.HasSuffix(config.Durable, suffix) {
		return fmt.Errorf("on this cluster the names of your durable consumers end with %s, which nobody else knows: take %s%s", suffix, config.Durable, suffix)
	}
	return nil
}

func calloutSecret(seed []byte) []byte {
	mac := hmac.New(sha256.New, seed)
	mac.Write([]byte("headwater durable names"))
	return mac.Sum(nil)
}

func (c *callout) suffix(who *guest) string {
	mac := hmac.New(sha256.New, c.secret)
	mac.Write([]byte(who.name))
	return "-" + strings.ToLower(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(mac.Sum(nil)[:15]))
}
