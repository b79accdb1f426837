package demo

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/json"
	"fmt"
	"headwater/cmd/headwater/demodata"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// sampleAPI is the JSON API that the demo connects to: one week of earthquakes
// at /v1/earthquakes, in pages linked by a Link header. It requires an API key,
// in X-API-Key or as a bearer token. It is safe for concurrent use.
type sampleAPI struct {
	key     string
	records []json.RawMessage
}

const page = 200 // records on a page, unless ?limit= asks for fewer

func newAPI(key string) (*sampleAPI, error) {
	body, err := demodata.Files.ReadFile("earthquakes.ndjson")
	if err != nil {
		return nil, err
	}
	api := &sampleAPI{key: key}
	for line := range bytes.Lines(body) {
		api.records = append(api.records, json.RawMessage(bytes.TrimSpace(line)))
	}
	return api, nil
}

// pages returns how many requests read all records.
func (a *sampleAPI) pages() int { return (len(a.records) + page - 1) / page }

// ServeHTTP answers with one page, or with a JSON object that says what is
// wrong.
func (a *sampleAPI) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch {
	case r.URL.Path != "/v1/earthquakes":
		refuse(w, http.StatusNotFound, "there is only /v1/earthquakes")
		return
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		w.Header().Set("Allow", "GET, HEAD")
		refuse(w, http.StatusMethodNotAllowed, "records can only be read")
		return
	case !a.allowed(r):
		w.Header().Set("WWW-Authenticate", "Bearer")
		refuse(w, http.StatusUnauthorized, "send the API key as X-API-Key or as a bearer token")
		return
	}
	after, err := number(r, "after", 0, 0, len(a.records))
	if err != nil {
		refuse(w, http.StatusBadRequest, err.Error())
		return
	}
	limit, err := number(r, "limit", page, 1, page)
	if err != nil {
		refuse(w, http.StatusBadRequest, err.Error())
		return
	}
	end := min(after+limit, len(a.records))
	if end < len(a.records) {
		w.Header().Set("Link", fmt.Sprintf(`<http://%s/v1/earthquakes?after=%d&limit=%d>; rel="next"`, r.Host, end, limit))
	}
	reply(w, http.StatusOK, map[string]any{"total": len(a.records), "earthquakes": a.records[after:end]})
}

func (a *sampleAPI) allowed(r *http.Request) bool {
	given := r.Header.Get("X-API-Key")
	if bearer, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer "); ok && given == "" {
		given = bearer
	}
	return subtle.ConstantTimeCompare([]byte(given), []byte(a.key)) == 1
}

// number reads a query parameter between least and most. It returns otherwise if
// the parameter is missing.
func number(r *http.Request, name string, otherwise, least, most int) (int, error) {
	text := r.URL.Query().Get(name)
	if text == "" {
		return otherwise, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < least || n > most {
		return 0, fmt.Errorf("%s must be a number from %d to %d", name, least, most)
	}
	return n, nil
}

func refuse(w http.ResponseWriter, status int, message string) {
	reply(w, status, map[string]string{"error": message})
}

func reply(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // an error means that the reader has disconnected
}

// runningAPI is the sample API on a free loopback port.
type runningAPI struct {
	*sampleAPI
	url  string
	stop func(context.Context) error
}

// startAPI serves the sample API under a new key until stop is called.
func startAPI() (*runningAPI, error) {
	api, err := newAPI(rand.Text())
	if err != nil {
		return nil, err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	server := &http.Server{Handler: api, ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = server.Serve(listener) }() // returns when stop closes the server
	return &runningAPI{api, "http://" + listener.Addr().String() + "/v1/earthquakes", server.Shutdown}, nil
}
