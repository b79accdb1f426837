package tablekeys

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"headwater/handlers/landing/bucket"
	"headwater/handlers/landing/buckettest"
)

// simulated is a store with an STS, after the references of AWS: AssumeRole's
// parameters, limits and answers, and a bucket that evaluates session policies. It
// checks no signature: a store that does is asked in cmd/headwater.
type simulated struct {
	url string
	t   *testing.T

	mu       sync.Mutex
	asked    []string                  // names of sessions of AssumeRole
	refuse   func(http.ResponseWriter) // answers in the STS's place if set
	ignores  bool                      // the session policy
	shut     bool                      // the role may read nothing
	own      bool                      // it gives out the keys that asked
	life     time.Duration             // of the keys; 0 for as asked
	slow     time.Duration
	sessions map[string]iamPolicy
}

var (
	sessionNames = regexp.MustCompile(`^[\w+=,.@-]{2,64}$`)
	policyText   = regexp.MustCompile(`^[\x{09}\x{0A}\x{0D}\x{20}-\x{FF}]+$`)
)

func simulate(t *testing.T) *simulated {
	t.Helper()
	for _, setting := range buckettest.Environment() {
		name, value, _ := strings.Cut(setting, "=")
		t.Setenv(name, value)
	}
	s := &simulated{t: t, sessions: map[string]iamPolicy{}}
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	s.url = server.URL
	return s
}

// open returns the store's bucket.
func (s *simulated) open() *bucket.Bucket {
	s.t.Helper()
	b, err := bucket.Open(s.t.Context(), "lake", bucket.Settings{Endpoint: s.url, Region: "eu-west-1"})
	if err != nil {
		s.t.Fatal(err)
	}
	return b
}

func (s *simulated) set(change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
}

func (s *simulated) times() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.asked)
}

func (s *simulated) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodPost && r.URL.Path == "/" {
		s.assume(w, r)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	p, known := s.sessions[r.Header.Get("X-Amz-Security-Token")]
	key := strings.TrimPrefix(r.URL.Path, "/lake/")
	allowed := false
	switch prefix := r.URL.Query().Get("prefix"); {
	case !known || s.shut:
	case s.ignores:
		allowed = true
	case r.URL.Query().Get("list-type") == "2":
		allowed = p.allows("s3:ListBucket", "arn:aws:s3:::lake", &prefix)
	case r.Method == http.MethodGet:
		allowed = p.allows("s3:GetObject", "arn:aws:s3:::lake/"+key, nil)
	case r.Method == http.MethodPut:
		allowed = p.allows("s3:PutObject", "arn:aws:s3:::lake/"+key, nil)
	case r.Method == http.MethodDelete:
		allowed = p.allows("s3:DeleteObject", "arn:aws:s3:::lake/"+key, nil)
	}
	w.Header().Set("Content-Type", "application/xml")
	if !allowed {
		w.WriteHeader(http.StatusForbidden)
		io.WriteString(w, `<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>`)
		return
	}
	if r.URL.Query().Get("list-type") == "2" {
		io.WriteString(w, `<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>lake</Name><KeyCount>0</KeyCount></ListBucketResult>`)
		return
	}
	if strings.Contains(key, "/gone/") {
		w.WriteHeader(http.StatusNotFound)
		io.WriteString(w, `<Error><Code>NoSuchKey</Code><Message>The specified key does not exist.</Message></Error>`)
		return
	}
	w.Header().Set("ETag", `"1"`)
	io.WriteString(w, "{")
}

func (s *simulated) assume(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := r.ParseForm(); err != nil {
		s.t.Error(err)
	}
	f := r.Form
	s.asked = append(s.asked, f.Get("RoleSessionName"))
	if s.slow > 0 {
		select {
		case <-time.After(s.slow):
		case <-r.Context().Done():
			return
		}
	}
	if s.refuse != nil {
		s.refuse(w)
		return
	}
	seconds, err := strconv.Atoi(f.Get("DurationSeconds"))
	signed := r.Header.Get("Authorization")
	if f.Get("Action") != "AssumeRole" || f.Get("Version") != "2011-06-15" || err != nil || seconds < 900 || seconds > 43200 || !sessionNames.MatchString(f.Get("RoleSessionName")) ||
		!policyText.MatchString(f.Get("Policy")) || utf8.RuneCountInString(f.Get("Policy")) > 2048 ||
		!strings.Contains(signed, "Credential="+buckettest.AccessKey+"/") || !strings.Contains(signed, "/eu-west-1/sts/aws4_request") {
		s.t.Errorf("AWS would refuse %v, signed %s", f, signed)
	}
	life := time.Duration(seconds) * time.Second
	if s.life != 0 {
		life = s.life
	}
	session := fmt.Sprintf("session-%d", len(s.asked))
	access, secret := "ASIA"+session, "secret-of-"+session
	if s.own {
		access, secret = buckettest.AccessKey, buckettest.SecretKey
	}
	s.sessions[session] = parsed(s.t, f.Get("Policy"))
	w.Header().Set("Content-Type", "text/xml")
	fmt.Fprintf(w, `<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleResult>
<AssumedRoleUser><Arn>arn:aws:sts::123456789012:assumed-role/lake/x</Arn><AssumedRoleId>ARO123EXAMPLE123:x</AssumedRoleId></AssumedRoleUser>
<Credentials><AccessKeyId>%s</AccessKeyId><SecretAccessKey>%s</SecretAccessKey><SessionToken>%s</SessionToken><Expiration>%s</Expiration></Credentials>
<PackedPolicySize>6</PackedPolicySize></AssumeRoleResult><ResponseMetadata><RequestId>c6104cbe</RequestId></ResponseMetadata></AssumeRoleResponse>`,
		access, secret, session, time.Now().Add(life).UTC().Format(time.RFC3339))
}

// refusing answers as an STS that refuses does.
func refusing(status int, code string) func(http.ResponseWriter) {
	return func(w http.ResponseWriter) {
		w.Header().Set("Content-Type", "text/xml")
		w.WriteHeader(status)
		fmt.Fprintf(w, `<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error><Type>Sender</Type><Code>%s</Code><Message>quotes `+buckettest.SecretKey+`</Message></Error><RequestId>4f9c2b51</RequestId></ErrorResponse>`, code)
	}
}
