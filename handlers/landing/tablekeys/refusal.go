package tablekeys

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/smithy-go"

	"headwater/handlers/landing/bucket"
)

// Refusal is why there are no keys to a table. It has neither a secret nor the name
// of a host.
type Refusal struct {
	Why    string // for people
	Status int    // of the STS's answer; 0 for none
	Code   string // the STS's own, as AccessDenied; "" for none
	// Role means that the STS does not let the service have the role that the
	// settings name, or not for so long.
	Role bool

	oneTable bool // other tables may have keys
	throttle bool // the STS is asked too often
}

// Error returns the reason, with the STS's own code.
func (r *Refusal) Error() string {
	switch {
	case r.Status == 0:
		return r.Why
	case r.Code == "":
		return fmt.Sprintf("%s (%d)", r.Why, r.Status)
	}
	return fmt.Sprintf("%s (%d %s)", r.Why, r.Status, r.Code)
}

// Told is Error: anybody may read it.
func (r *Refusal) Told() string { return r.Error() }

// What is refused here, whatever an STS says.
var (
	errTooLong = &Refusal{Why: "the table's folder has too long a name for a session policy, which may have 2,048 characters", oneTable: true}
	errFolder  = &Refusal{Why: "the table's folder is none that a session policy can name", oneTable: true}
	errOutside = &Refusal{Why: "the table is not in the lake's bucket", oneTable: true}
	errOwn     = &Refusal{Why: "the store's STS gave the service's own keys, or keys without a session"}
	errEnds    = &Refusal{Why: "the store's STS gave keys that end at another time than asked for; are its clock and this machine's right?"}
	errWide    = &Refusal{Why: "the store's STS ignores the session policy: its keys open more than the table"}
	errUntold  = &Refusal{Why: "the bucket does not say what the keys of its STS open"}
	errGone    = &Refusal{Why: "the table's metadata file is not in the bucket", oneTable: true}
	errShut    = &Refusal{Why: "the keys of the store's STS do not open the table: the role needs s3:GetObject and s3:ListBucket", oneTable: true}
)

// Codes of an STS.
var (
	missingCodes = []string{"NotImplemented", "InvalidAction", "MethodNotAllowed", "UnknownOperationException", "UnsupportedOperation"}
	throttles    = []string{"Throttling", "ThrottlingException", "ThrottledException", "RequestLimitExceeded", "TooManyRequestsException", "SlowDown"}
	tooLarge     = []string{"PackedPolicyTooLarge", "PackedPolicyTooLargeException"}
	roleCodes    = []string{"AccessDenied", "AccessDeniedException", "NoSuchEntity", "ValidationError", "InvalidParameterValue"}
)

// refusalOf returns why AssumeRole failed. Of the STS's answer it keeps the code
// alone: a message may quote the request, which holds a session token of ours.
func refusalOf(err error) *Refusal {
	r := &Refusal{}
	var answer *awshttp.ResponseError
	if errors.As(err, &answer) {
		r.Status = answer.HTTPStatusCode()
	}
	var api smithy.APIError
	if errors.As(err, &api) && api.ErrorCode() != "UnknownError" {
		r.Code = plainCode(api.ErrorCode())
	}
	is := func(codes []string) bool { return slices.Contains(codes, r.Code) }
	switch {
	case r.Status == 0:
		r.Why = "the store's STS cannot be asked: " + bucket.Unanswered("it", err)
	case is(throttles), r.Status == 429:
		r.Why, r.throttle = "the store's STS is asked too often", true
	case is(tooLarge):
		r.Why, r.oneTable = "the table's folder has too long a name for a session policy of the store's STS", true
	case is(missingCodes), r.Status == 404, r.Status == 405, r.Status == 501, r.Code == "" && r.Status < 500:
		r.Why = "the store has no AssumeRole where its STS should be"
	case r.Status >= 500:
		r.Why = "the store's STS failed"
	default:
		r.Why, r.Role = "the store's STS refuses AssumeRole", is(roleCodes)
	}
	return r
}

// plainCode returns a code without what is none of one, at most 64 characters.
func plainCode(code string) string {
	code = strings.Map(func(r rune) rune {
		if 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || r == '.' {
			return r
		}
		return -1
	}, code)
	return code[:min(len(code), 64)]
}
