package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// made is a generated file and what its rows add up to.
type made struct {
	Path string
	Sums sums
}

// generate returns a file of so many wide rows in the cache, made by write
// unless it is there from a run before.
func (b *bench) generate(name string, rows int, header string, write func(*bufio.Writer, *generator)) (made, error) {
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
	g, buffer := newGenerator(), make([]byte, 0, 256)
	for range rows {
		g.next()
		m.Sums.addRow(g, buffer)
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
	return b.generate("wide.tsv", b.rows(wideRows), "", func(out *bufio.Writer, g *generator) {
		for i, value := range g.values {
			if i > 0 {
				out.WriteByte('\t')
			}
			switch {
			case g.null[i]:
				value = `\N`
			case wide[i].kind == yesNo:
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
	for i, c := range wide {
		if i > 0 {
			header.WriteByte(',')
		}
		header.WriteString(c.name)
	}
	return b.generate("big.csv", b.rows(csvRows), header.String()+"\n", func(out *bufio.Writer, g *generator) {
		for i, value := range g.values {
			if i > 0 {
				out.WriteByte(',')
			}
			switch {
			case g.null[i]:
				continue
			case wide[i].kind == instant:
				value += "+00"
			case strings.ContainsAny(value, `",`):
				value = `"` + strings.ReplaceAll(value, `"`, `""`) + `"`
			}
			out.WriteString(value)
		}
		out.WriteByte('\n')
	})
}

// columnsOf lists the wide table's columns for CREATE TABLE.
func columnsOf(kind func(column) string) string {
	var all []string
	for _, c := range wide {
		all = append(all, c.name+" "+kind(c))
	}
	return strings.Join(all, ", ")
}
