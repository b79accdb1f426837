package input

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"slices"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/japanese"
	"golang.org/x/text/encoding/korean"
	"golang.org/x/text/encoding/simplifiedchinese"
	"golang.org/x/text/encoding/traditionalchinese"

	"headwater/connectors/driver"
)

// decoding turns the bytes of a text file into UTF-8. The zero value is UTF-8
// itself.
type decoding struct {
	name  string
	wide  int // of UTF-16: which of two bytes is the high one; 0 or 1
	utf16 bool
	table encoding.Encoding
}

// marks are what files begin with to tell their encoding.
const (
	markUTF8 = "\xef\xbb\xbf"
	markLE   = "\xff\xfe"
	markBE   = "\xfe\xff"
)

// tables are the encodings beside UTF-8 and UTF-16, by the names that are told.
var tables = map[string]encoding.Encoding{
	"gbk": simplifiedchinese.GBK, "gb18030": simplifiedchinese.GB18030, "big5": traditionalchinese.Big5,
	"shift_jis": japanese.ShiftJIS, "euc-jp": japanese.EUCJP, "euc-kr": korean.EUCKR,
	"koi8-r": charmap.KOI8R, "koi8-u": charmap.KOI8U, "macintosh": charmap.Macintosh,
	"cp437": charmap.CodePage437, "cp850": charmap.CodePage850, "cp852": charmap.CodePage852, "cp855": charmap.CodePage855, "cp858": charmap.CodePage858, "cp866": charmap.CodePage866,
	"windows-874": charmap.Windows874, "windows-1250": charmap.Windows1250, "windows-1251": charmap.Windows1251, "windows-1252": charmap.Windows1252,
	"windows-1253": charmap.Windows1253, "windows-1254": charmap.Windows1254, "windows-1255": charmap.Windows1255, "windows-1256": charmap.Windows1256,
	"windows-1257": charmap.Windows1257, "windows-1258": charmap.Windows1258,
	"iso-8859-1": charmap.ISO8859_1, "iso-8859-2": charmap.ISO8859_2, "iso-8859-3": charmap.ISO8859_3, "iso-8859-4": charmap.ISO8859_4, "iso-8859-5": charmap.ISO8859_5,
	"iso-8859-6": charmap.ISO8859_6, "iso-8859-7": charmap.ISO8859_7, "iso-8859-8": charmap.ISO8859_8, "iso-8859-9": charmap.ISO8859_9, "iso-8859-10": charmap.ISO8859_10,
	"iso-8859-13": charmap.ISO8859_13, "iso-8859-14": charmap.ISO8859_14, "iso-8859-15": charmap.ISO8859_15, "iso-8859-16": charmap.ISO8859_16,
}

// encodingOf returns the encoding of a name, in whatever case and with
// whatever between letters and digits.
func encodingOf(name string) (decoding, error) {
	plain := func(s string) string {
		return strings.Map(func(r rune) rune {
			if r == '-' || r == '_' || r == ' ' {
				return -1
			}
			return r
		}, strings.ToLower(s))
	}
	key := plain(name)
	switch {
	case key == "" || key == "utf8":
		return decoding{name: key}, nil
	case key == "utf16" || key == "utf16be" || key == "ucs2":
		return decoding{name: key, utf16: true}, nil
	case key == "utf16le":
		return decoding{name: key, utf16: true, wide: 1}, nil
	case strings.HasPrefix(key, "latin") && len(key) > len("latin"):
		if n, ok := map[string]string{"1": "1", "2": "2", "3": "3", "4": "4", "5": "9", "6": "10", "7": "13", "8": "14", "9": "15", "10": "16"}[key[len("latin"):]]; ok {
			key = "iso8859" + n
		}
	case strings.HasPrefix(key, "cp125"):
		key = "windows" + key[len("cp"):]
	case strings.HasPrefix(key, "ibm"):
		key = "cp" + key[len("ibm"):]
	}
	for told, table := range tables {
		if plain(told) == key {
			return decoding{name: told, table: table}, nil
		}
	}
	return decoding{}, driver.InvalidField("encoding", "must be utf-8, utf-16le, utf-16be, windows-1250 to 1258, iso-8859-1 to 16, shift_jis, gb18030, big5, euc-kr or the like")
}

// decoded returns a text as UTF-8, by the encoding that is set or that a mark at
// its beginning tells. Contradictions are errors that name the setting.
func (in *Input) decoded(head []byte) error {
	d, err := encodingOf(in.Settings.Encoding)
	if err != nil {
		return err
	}
	is := func(mark string) bool { return bytes.HasPrefix(head, []byte(mark)) }
	contradicts := func(what string) error {
		return driver.E(driver.ErrInvalidConfig, nil, "%s begins with the mark of %s, which connection_config.encoding contradicts; leave the setting out", in.Name, what)
	}
	skip := 0
	switch {
	case is(markUTF8):
		if skip = len(markUTF8); d.utf16 || d.table != nil {
			return contradicts("UTF-8")
		}
	case is(markLE+"\x00\x00") && len(head)%4 == 0, is("\x00\x00" + markBE):
		return driver.E(driver.ErrUnsupported, nil, "%s is UTF-32 text; save it as UTF-8", in.Name)
	case is(markLE), is(markBE):
		wide := map[bool]int{true: 1, false: 0}[is(markLE)]
		if d.table != nil || d.name == "utf8" || d.utf16 && d.name != "utf16" && d.wide != wide {
			return contradicts("UTF-16")
		}
		d, skip = decoding{name: "utf-16", utf16: true, wide: wide}, len(markLE)
	}
	in.Mark = int64(skip)
	if _, err := in.Discard(skip); err != nil {
		return err
	}
	if !d.utf16 && d.table == nil {
		return nil
	}
	in.Encoded = true
	t := &transcoder{r: in.Reader, path: in.Name, name: in.Settings.Encoding, decode: d.utf16Text}
	if d.table != nil {
		t.decode = (&tableText{decoder: d.table.NewDecoder()}).text
	}
	in.Reader = bufio.NewReaderSize(t, HeadSize)
	return nil
}

// errNotText says that bytes mean no character in an encoding.
var errNotText = errors.New("no character")

// transcoder reads a text as UTF-8. decode appends what the whole characters at
// the beginning of b mean to out, and returns how many bytes they took.
type transcoder struct {
	r      io.Reader
	path   string
	name   string
	decode func(out, b []byte, last bool) ([]byte, int, error)

	raw  []byte // read and not decoded
	at   int64  // of raw in the file
	text []byte // decoded and not given away
	buf  []byte // of text
	end  error
}

func (t *transcoder) Read(p []byte) (int, error) {
	for len(t.text) == 0 {
		if t.end != nil && len(t.raw) == 0 {
			return 0, t.end
		}
		if t.end == nil {
			const most = 64 << 10
			n := len(t.raw)
			t.raw = slices.Grow(t.raw, most)[:n+most]
			read, err := t.r.Read(t.raw[n:])
			t.raw, t.end = t.raw[:n+read], err
		}
		out, n, err := t.decode(t.buf[:0], t.raw, t.end == io.EOF)
		if err == nil && n == 0 && t.end != nil && len(t.raw) > 0 {
			if err = t.end; err == io.EOF {
				err = errNotText
			}
		}
		if err != nil && err != errNotText {
			return 0, err
		}
		if err != nil && len(out) == 0 {
			return 0, driver.E(driver.ErrBadData, nil, "%s, byte %d: bytes that are no character of its encoding; set connection_config.encoding to the right one", t.path, t.at+int64(n)+1)
		}
		t.buf, t.text = out, out
		t.at += int64(n)
		t.raw = append(t.raw[:0], t.raw[n:]...)
	}
	n := copy(p, t.text)
	t.text = t.text[n:]
	return n, nil
}

// utf16Text decodes UTF-16. Half of a surrogate pair is errNotText.
func (d decoding) utf16Text(out, b []byte, last bool) ([]byte, int, error) {
	unit := func(i int) rune { return rune(b[i+d.wide])<<8 | rune(b[i+1-d.wide]) }
	at := 0
	for at+2 <= len(b) {
		r := unit(at)
		switch {
		case !utf16.IsSurrogate(r):
			out = utf8.AppendRune(out, r)
			at += 2
		case at+4 > len(b):
			if last {
				return out, at, errNotText
			}
			return out, at, nil
		default:
			pair := utf16.DecodeRune(r, unit(at+2))
			if pair == utf8.RuneError {
				return out, at, errNotText
			}
			out = utf8.AppendRune(out, pair)
			at += 4
		}
	}
	if last && at < len(b) {
		return out, at, errNotText
	}
	return out, at, nil
}

// tableText decodes what a table says, which has a replacement for what is none.
type tableText struct{ decoder *encoding.Decoder }

func (t *tableText) text(out, b []byte, last bool) ([]byte, int, error) {
	room := slices.Grow(out, 4*len(b)+utf8.UTFMax)
	n, took, err := t.decoder.Transform(room[len(out):cap(room)], b, last)
	if bytes.Contains(room[len(out):len(out)+n], []byte(string(utf8.RuneError))) {
		return t.byCharacter(out, b)
	}
	if err != nil && took == 0 && last {
		return out, 0, errNotText
	}
	return room[:len(out)+n], took, nil
}

// byCharacter decodes as far as the first character that is none.
func (t *tableText) byCharacter(out, b []byte) ([]byte, int, error) {
	var one [utf8.UTFMax * 2]byte
	for at := 0; ; {
		n, took := 0, 0
		for k := 1; took == 0 && k <= 8 && at+k <= len(b); k++ {
			t.decoder.Reset()
			n, took, _ = t.decoder.Transform(one[:], b[at:at+k], false)
		}
		if took == 0 || bytes.Contains(one[:n], []byte(string(utf8.RuneError))) {
			return out, at, errNotText
		}
		out = append(out, one[:n]...)
		at += took
	}
}
