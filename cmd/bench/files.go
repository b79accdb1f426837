package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"headwater/cmd/bench/widetable"
	"headwater/handlers/landing/landingtest"
)

// made is a generated file and what its rows add up to.
type made struct {
	Path string
	Sums widetable.Sums
}

// generate returns a file of so many wide rows in the cache, made by write
// unless it is there from a run before.
func (b *bench) generate(name string, rows int, header string, write func(*bufio.Writer, *widetable.Generator)) (made, error) {
	m := made{Path: filepath.Join(b.cache, "files", fmt.Sprintf("%d", rows), name)}
	note := m.Path + ".sums"
	if text, err := os.ReadFile(note); err == nil && json.Unmarshal(text, &m.Sums) == nil && m.Sums.Rows == int64(rows) {
		return m, nil
	}
	b.say("generating %s, %d rows", name, rows)
	if err := os.MkdirAll(filepath.Dir(m.Path), 0o755); err != nil {
		return m, err
	}
	f, err := os.Create(m.Path)
	if err != nil {
		return m, err
	}
	defer f.Close()
	out := bufio.NewWriterSize(f, 1<<20)
	out.WriteString(header)
	g, buffer := widetable.NewGenerator(), make([]byte, 0, 256)
	for range rows {
		g.Next()
		m.Sums.AddRow(g, buffer)
		write(out, g)
	}
	if err := errors.Join(out.Flush(), f.Close()); err != nil {
		return m, err
	}
	text, err := json.Marshal(m.Sums)
	if err != nil {
		return m, err
	}
	return m, os.WriteFile(note, text, 0o644)
}

// tabbed is the wide table as both databases load it: tabs between values, \N
// for NULL.
func (b *bench) tabbed() (made, error) {
	return b.generate("wide.tsv", b.rows(wideRows), "", func(out *bufio.Writer, g *widetable.Generator) {
		for i, value := range g.Values {
			if i > 0 {
				out.WriteByte('\t')
			}
			switch {
			case g.Null[i]:
				value = `\N`
			case widetable.Columns[i].Kind == widetable.YesNo:
				value = map[string]string{"true": "1", "false": "0"}[value]
			}
			out.WriteString(value)
		}
		out.WriteByte('\n')
	})
}

// commas is the wide table as RFC 4180 has it, twice as long.
func (b *bench) commas() (made, error) {
	var header strings.Builder
	for i, c := range widetable.Columns {
		if i > 0 {
			header.WriteByte(',')
		}
		header.WriteString(c.Name)
	}
	return b.generate("big.csv", b.rows(csvRows), header.String()+"\n", func(out *bufio.Writer, g *widetable.Generator) {
		for i, value := range g.Values {
			if i > 0 {
				out.WriteByte(',')
			}
			switch {
			case g.Null[i]:
				continue
			case widetable.Columns[i].Kind == widetable.Instant:
				value += "+00"
			case strings.ContainsAny(value, `",`):
				value = `"` + strings.ReplaceAll(value, `"`, `""`) + `"`
			}
			out.WriteString(value)
		}
		out.WriteByte('\n')
	})
}

// check reads what a sync landed and compares it with what was generated.
func (b *bench) check(ctx context.Context, l landed, want widetable.Sums) error {
	b.say("comparing what landed with the source")
	var got widetable.Sums
	buffer := make([]byte, 0, 256)
	for rec, err := range landingtest.Rows(ctx, l.Location, l.SnapshotID) {
		if err != nil {
			return err
		}
		if err := got.AddBatch(rec, buffer); err != nil {
			return err
		}
	}
	return got.Compare(want)
}
