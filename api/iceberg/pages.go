package iceberg

import (
	"encoding/base64"
	"net/http"
	"sort"
	"strconv"
)

// mostPage is the largest number of names on a page.
const mostPage = 1000

// pageOf returns the names that a request asks for, from all names in order, and
// the token of the next page. A request without paging parameters comes from a
// client that does not know pages, and gets all names.
func pageOf(r *request, names []string) (page []string, next string, err error) {
	query := r.URL.Query()
	if !query.Has("pageToken") && !query.Has("pageSize") {
		return names, "", nil
	}
	size := mostPage
	if text := query.Get("pageSize"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 {
			return nil, "", fail(http.StatusBadRequest, typeBadRequest, "pageSize must be a number above 0")
		}
		size = min(n, mostPage)
	}
	after, err := base64.RawURLEncoding.DecodeString(query.Get("pageToken"))
	if err != nil {
		return nil, "", fail(http.StatusBadRequest, typeBadRequest, "pageToken is none of this catalog; begin again without it")
	}
	if len(after) > 0 {
		names = names[sort.Search(len(names), func(i int) bool { return names[i] > string(after) }):]
	}
	if len(names) <= size {
		return names, "", nil
	}
	return names[:size], base64.RawURLEncoding.EncodeToString([]byte(names[size-1])), nil
}

func withNext(answer map[string]any, next string) map[string]any {
	if next != "" {
		answer["next-page-token"] = next
	}
	return answer
}
