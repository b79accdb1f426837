// Package words is the catalogue of names by which APIs tell of their pages, their
// records and their errors, without case and punctuation.
package words

import (
	"slices"
	"strings"
	"unicode"
)

// Plain returns a name without case and punctuation, so that one entry of
// the catalogue stands for next_cursor, nextCursor, Next-Cursor and next.cursor.
func Plain(name string) string {
	var b strings.Builder
	for _, r := range name {
		if unicode.IsLetter(r) || unicode.IsDigit(r) {
			b.WriteRune(unicode.ToLower(r))
		}
	}
	return b.String()
}

// Set is a set of plain names.
type Set map[string]bool

// Of returns the words of a text as a set.
func Of(text string) Set {
	w := Set{}
	for _, word := range strings.Fields(text) {
		w[word] = true
	}
	return w
}

// The names by which APIs tell about their pages, plain.
var (
	// Envelopes are the objects beside or around the records that tell of pages.
	Envelopes = Of(`meta pagination paging pager paginator pageinfo page pages responsemetadata metadata info links cursors cursor data result results
		response additionaldata query message hits list search resultinfo listinfo resultset payload body summary collection feed envelope next records navigation pagedata pagingmetadata resultsetmetadata listmetadata`)
	// afterNext are the words behind "next" that make a name one of a next page;
	// next_billing_at is none.
	afterNext = Of(`url uri link href page pageurl pageuri pagelink pagehref pagetoken pagecursor pageid pagenumber pageno pagenum pagepath pagelinkuri
		token cursor continuationtoken continuation marker key offset start startat startindex startkey startingafter skip skiptoken after position bookmark scrollid
		recordsurl resultsurl results set batch path request id index query pagequery cursorid partitionkey rowkey evaluatedkey searchafter from`)
	neverNext = Of(`nextsynctoken nextdeltatoken deltalink odatadeltalink`)
	// OtherNext are the words of a name that begins with "next" and tells of a time or an
	// event.
	OtherNext = Of(`at on in date time day days week month year hour minute second billing bill pay payment due run runs sync delta check update refresh poll reset allowed retry attempt
		renew renewal release version event step action state status schedule scheduled execution expiry open close sequence charge invoice delivery game match episode number value
		season tier level round block cycle period milestone`)
	MoreNames = Of(`hasmore more hasnext hasnextpage hasmoreitems moreitems moreavailable moreresults hasmoreresults hasmoredata hasmorepages morepages
		moreitemsincollection hasmorerecords morerecords istruncated truncated hasnextresults existsnextpage nextpageexists hasadditionalresults hasfollowing
		exceededtransferlimit moredata nextpageavailable moreresultsavailable moreitemsavailable morerecordsavailable remainingitems remainingitemcount remainingrecords remainingresults`)
	OverNames = Of(`islast islastpage lastpage last done isdone finished isfinished iscomplete complete endoflist endofresults endofrecords endoffile eof isend end isfinal finalpage
		nomore nomoreresults allloaded`)
	TokenNames = Of(`cursor endcursor aftercursor after continuationtoken continuation continuationkey scrollid paginationtoken pagingtoken resumptiontoken
		lastkey lastevaluatedkey bookmark marker pagestate skiptoken pagetoken cursornext pagingcursor continue`)
	LastIDs    = Of(`lastid lastrecordid lastitemid`)
	LastLinks  = Of(`lasturl lastpageurl lastlink lastpagelink lasthref lasturi`)
	OddNames   = Of(`continue lastevaluatedkey searchafter nextsearchafter nextkey exclusivestartkey`)
	PageNames  = Of(`page currentpage pagenumber pageno pagenum pageindex curpage thispage current currentpagenumber pagecurrent`)
	PagesNames = Of(`totalpages pages lastpage pagecount numpages nbpages pagetotal pagestotal totalpagecount maxpage lastpagenumber totalpage pagescount numberofpages
		totalnumberofpages noofpages pagetotalcount`)
	SkipNames  = Of(`offset skip start startat startindex startrow startposition recordstart firstresult from`)
	TotalNames = Of(`total totalcount totalresults totalrecords totalelements totalitems totalsize totalrows totalhits nbhits numfound recordstotal recordsfiltered
		fullcount allcount totalnumber totalobjects totalentries odatacount totalrecordcount totalresultcount totalitemcount numberofrecords numberofresults outof totalavailable availabletotal
		totalsetsize totalmatches`)
	CountNames = Of(`count resultcount itemcount itemscount numresults recordcount recordscount resultscount size length`)
	SizeNames  = Of(`limit perpage pagesize size hitsperpage itemsperpage maxresults pagelimit recordsperpage resultsperpage top take pagelength`)
	// Pagers are objects and fields that tell of pages and nothing else.
	Pagers = Of(`paging pagination pager paginator pageinfo paginationinfo paginginfo pagedata pagingmetadata paginationmetadata`)
	// Uncounted are the words of a name of a number that counts no records.
	Uncounted = Of(`id ids uid pid key code status statuscode errno error errors warnings http version ver v rev revision schema api build seq sequence generation etag checksum crc hash
		time timestamp ts date day days week month year hour hours minute minutes second seconds sec secs ms millis milliseconds micros us ns epoch utc offset timezone
		took duration elapsed latency runtime uptime age ttl expires expiry expiration expire interval delay wait retry timeout cache cached
		max min limit size bytes width height length lat lon lng latitude longitude x y z zoom score level weight distance radius
		amount price cost sum balance fee tax value avg average mean median percent percentage ratio rate quota credits credit budget usage
		page pages prev first last start end before from to per since until server port node shard shards zip postal phone`)
	// FullBy are the sizes that tell how many records a page has room for, not how
	// many it has.
	FullBy = Of(`limit perpage pagesize hitsperpage maxresults pagelimit recordsperpage take`)
	// Backwards are the names of links to other pages than the next.
	Backwards = Of(`previous prev previouspage prevpage first last self current firstpage lastpage before startcursor`)
)

// Next returns what stands behind "next" in a plain name that may be one of
// a next page.
func Next(plain string) (word string, ok bool) {
	if neverNext[plain] {
		return "", false
	}
	if plain == "more" || plain == "moreurl" || plain == "loadmore" || plain == "loadmoreurl" {
		return "url", true
	}
	at := strings.LastIndex(plain, "next")
	if at < 0 || at > 0 && !strings.HasPrefix(plain, "odata") && !slices.Contains([]string{"url", "uri", "link", "href", "page", "token", "cursor", "pagetoken", "pageurl", "", "pageuri", "pagelink"}, plain[at+4:]) {
		return "", false
	}
	word = plain[at+4:]
	return word, word == "" || afterNext[word]
}

// TokenParams returns the names that the parameter for a token may have, the
// likeliest first: APIs ask for next_cursor as cursor, for nextPageToken as
// pageToken.
func TokenParams(name string) []string {
	key := name
	if at := strings.LastIndexByte(name, '.'); at >= 0 && at < len(name)-1 {
		key = name[at+1:]
	}
	plain := Plain(key)
	word, next := Next(plain)
	if !next {
		word = plain
	}
	bare := stripNext(key)
	var list []string
	switch word {
	case "cursor", "endcursor", "aftercursor", "pagecursor", "cursornext", "pagingcursor":
		list = []string{bare, "cursor", "after", "start_cursor", key, "page_cursor", "starting_after", "pageCursor"}
		if word == "endcursor" || word == "aftercursor" {
			list = []string{"after", "cursor", key}
		}
	case "pagetoken":
		list = []string{bare, "page_token", "pageToken", key, "token", "cursor"}
	case "token":
		list = []string{key, "pagination_token", "page_token", "pageToken", bare, "cursor"}
	case "continuationtoken", "continuation":
		list = []string{bare, "continuationToken", "continuation_token", "continuation", "token"}
	case "", "page", "pageid":
		list = []string{"page", "page_token", key, "pageToken", "cursor", "after", "offset"}
	case "pagenumber", "pageno", "pagenum", "index":
		list = []string{"page", bare, key}
	case "offset", "start", "startat", "startindex", "skip", "position", "from":
		list = []string{bare, key, "offset", "skip", "start"}
	case "scrollid":
		list = []string{bare, "scroll_id", "scrollId", "scroll"}
	case "lastid", "lastrecordid", "lastitemid":
		list = []string{"after", "after_id", "starting_after", key, "since_id"}
	default:
		list = []string{bare, key, "cursor", "after", "page_token"}
	}
	return Unique(list)
}

// stripNext returns a name without "next" at its front, in the same spelling.
func stripNext(key string) string {
	if len(key) <= 4 || !strings.EqualFold(key[:4], "next") {
		return key
	}
	rest := strings.TrimLeft(key[4:], "_-")
	if len(rest) == 0 {
		return key
	}
	if rest[0] >= 'A' && rest[0] <= 'Z' && key[0] == 'n' {
		rest = strings.ToLower(rest[:1]) + rest[1:]
	}
	return rest
}

// Unique returns a list without what is in it before.
func Unique(list []string) []string {
	var out []string
	for _, s := range list {
		if s != "" && !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	return out
}

// Round reports whether so many records may be a full page: most APIs have 10,
// 20, 25, 30, 50, 100 ... to a page, some powers of two or dozens.
func Round(n int) bool {
	return n >= 10 && (n%10 == 0 || n%25 == 0 || n == 12 || n == 15 || n == 24 || n == 36 || n == 48 || n == 96 || n >= 16 && n&(n-1) == 0 || n == 99 || n == 255)
}

// Capped reports whether a total may be the most that the API counts.
func Capped(n int64) bool { return n >= 50 && n%50 == 0 }

// Failing are the fields of answers that are nothing but an error.
var Failing = Of(`code message msg status error errors detail details type title requestid documentationurl timestamp path success ok errcode errmsg errorcode errormessage
	errordescription errormsg traceid help docs doc documentation info reason description statuscode statustext result data instance method moreinfo fault faultcode faultstring errorid hint logref correlationid apierrorcode`)
