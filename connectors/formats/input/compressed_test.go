package input_test

import (
	"encoding/base64"
	"errors"
	"strings"
	"testing"

	"headwater/connectors/driver"
	"headwater/connectors/formats/formatstest"
)

// Members follow each other, also empty ones, and zeros fill the last block up.
func TestGzipMembersAndPadding(t *testing.T) {
	text := "n,s\n" + strings.Repeat("1,x\n", 30_000)
	for name, content := range map[string]string{
		"one": formatstest.Gzip(text), "many": formatstest.Gzip(text[:100]) + formatstest.Gzip("") + formatstest.Gzip(text[100:]), "padded": formatstest.Gzip(text) + strings.Repeat("\x00", 512),
		"a zero": formatstest.Gzip(text) + "\x00", "padded beyond what is read at once": formatstest.Gzip(text) + strings.Repeat("\x00", 100_000),
	} {
		if _, rows, err := formatstest.Table(t, "f.csv.gz", content, `{"path":"f.csv.gz"}`, driver.Limits{}); err != nil || len(rows) != 30_000 {
			t.Errorf("%s: %d rows, %v", name, len(rows), err)
		}
	}
}

func TestRatioLimit(t *testing.T) {
	bomb := formatstest.Zstd(strings.Repeat(strings.Repeat("0", 1023)+"\n", 80<<10))
	_, _, err := formatstest.Table(t, "f.csv.zst", bomb, `{"path":"f.csv.zst"}`, driver.Limits{})
	if !errors.Is(err, driver.ErrLimit) || !strings.Contains(err.Error(), "grows by more than") {
		t.Errorf("got %v", err)
	}
}

// Files are made of several compressed parts, of which some hold nothing.
func TestCompressedParts(t *testing.T) {
	bzipped, err := base64.StdEncoding.DecodeString("QlpoOTFBWSZTWbFJ3a0AAAPZAAAQAAQgACYjIAAiBiZCDJiEEI45ni7kinChIWKTu1pCWmg5MUFZJlNZKz7PfwAAAMCAABAAQCAAIQCCsXckU4UJArPs9/A=")
	if err != nil {
		t.Fatal(err)
	}
	text := "id,name\n1,x\n"
	skippable := "\x51\x2a\x4d\x18\x04\x00\x00\x00abcd"
	for name, content := range map[string]string{
		"a.zst": formatstest.Zstd(text), "b.zst": skippable + formatstest.Zstd(text), "c.zst": formatstest.Zstd(text[:5]) + skippable + formatstest.Zstd("") + formatstest.Zstd(text[5:]),
		"e.csv.bz2": string(bzipped), "d.gz": formatstest.Gzip("") + formatstest.Gzip(text[:5]) + formatstest.Gzip(text[5:]),
	} {
		got, rows, err := formatstest.Table(t, name, content, `{"path":"`+name+`"}`, driver.Limits{})
		if want := "[id:int64 name:string] [[1 x]]"; err != nil || formatstest.Shape(got, rows) != want {
			t.Errorf("%s: %s, %v", name, formatstest.Shape(got, rows), err)
		}
	}
}
