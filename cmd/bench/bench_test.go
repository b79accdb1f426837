package main

import (
	"strings"
	"testing"
)

func TestChoose(t *testing.T) {
	all, err := choose("")
	if err != nil || len(all) != len(works) {
		t.Errorf("%d works, %v", len(all), err)
	}
	some, err := choose("postgres,csv")
	if err != nil || len(some) != 3 || some[2].name != "csv" {
		t.Errorf("%v, %v", some, err)
	}
	if _, err := choose("oracle"); err == nil || !strings.Contains(err.Error(), "postgres-wide") {
		t.Errorf("an unknown work: %v", err)
	}
}

func TestScaleLine(t *testing.T) {
	name, metrics, found := benchmarkLine("BenchmarkScale/schema_page-2  \t    1000\t    123456 ns/op\t        52.00 small-µs\t         1.310 x-small(limit<=2)", "BenchmarkScale/")
	if !found || name != "schema page" || metrics["small-µs"] != 52 || metrics["x-small(limit<=2)"] != 1.31 {
		t.Errorf("%q, %v, %v", name, metrics, found)
	}
	if _, _, found := benchmarkLine("goos: linux", "BenchmarkScale/"); found {
		t.Error("a line of no benchmark was found")
	}
}
