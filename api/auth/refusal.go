package auth

import "errors"

// ErrToken says that a token is not valid here. Every *Refusal wraps it.
var ErrToken = errors.New("the token is not valid")

// ErrLookup says that an API token may be valid, but cannot be looked up now.
var ErrLookup = errors.New("API tokens cannot be looked up now; try again")

// ErrNoToken is what APITokens returns for an id that it does not know.
var ErrNoToken = errors.New("no such token")

// Refusal is the error of a token that is not accepted. It wraps ErrToken, and
// also ErrLookup when the token could not be looked up.
type Refusal struct {
	Why     string // such as "it has expired"; holds nothing of the token
	Expired bool   // the token was valid until it expired
	cause   error  // what else the error wraps; nil for nothing
}

// Error returns the text of ErrToken followed by the reason.
func (r *Refusal) Error() string { return ErrToken.Error() + ": " + r.Why }

// Unwrap returns ErrToken and the cause, if there is one.
func (r *Refusal) Unwrap() []error {
	if r.cause == nil {
		return []error{ErrToken}
	}
	return []error{ErrToken, r.cause}
}

// RefusalOf returns the *Refusal that err wraps. For another error it returns one
// whose reason is the text of err. err must not be nil.
func RefusalOf(err error) *Refusal {
	var r *Refusal
	if errors.As(err, &r) {
		return r
	}
	return &Refusal{Why: err.Error(), cause: err}
}

const whyExpired = "it has expired"

// Reasons to refuse an API token, for its bearer.
const (
	whyRevoked    = "it was revoked; make another one with your own token: POST /data/{workspace}/tokens, or 'headwater tokens create'"
	whyAPIExpired = whyExpired + "; make another one with your own token: POST /data/{workspace}/tokens, or 'headwater tokens create'"
	whyUnknown    = "it is no API token of this service; 'headwater tokens list' shows which there are"
)

func refuse(why string) *Refusal { return &Refusal{Why: why} }

func refuseFor(cause error) *Refusal { return &Refusal{Why: cause.Error(), cause: cause} }
