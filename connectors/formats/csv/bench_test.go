package csv

import (
	stdcsv "encoding/csv"
	"fmt"
	"io"
	"strings"
	"testing"
)

// BenchmarkRecords takes the records of a text apart, by the decoder and by the
// standard library, which is what would be left without it.
func BenchmarkRecords(b *testing.B) {
	var text strings.Builder
	for i := range 50_000 {
		fmt.Fprintf(&text, "%d,name %d,%d.%d5,2024-02-%02d 10:00:00,\"a, \"\"b\"\" %d\"\n", i, i%1000, i%777, i%10, 1+i%28, i)
	}
	content := []byte(text.String())
	b.Run("ours", func(b *testing.B) {
		b.SetBytes(int64(len(content)))
		for b.Loop() {
			d := decoder{comma: ',', quote: '"'}
			for rest := content; len(rest) > 0; {
				n, err := d.next(rest)
				if err != nil || len(d.cells) != 5 {
					b.Fatal(len(d.cells), err)
				}
				rest = rest[n:]
			}
		}
	})
	b.Run("library", func(b *testing.B) {
		b.SetBytes(int64(len(content)))
		for b.Loop() {
			r := stdcsv.NewReader(strings.NewReader(text.String()))
			r.ReuseRecord = true
			for {
				if _, err := r.Read(); err == io.EOF {
					break
				} else if err != nil {
					b.Fatal(err)
				}
			}
		}
	})
}
