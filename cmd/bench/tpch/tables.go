// Package tpch makes the database that the TPC-H specification describes: eight
// tables of a wholesale supplier whose sizes follow from a scale, with the
// specification's types, keys, ranges and texts. It is deterministic, and not the
// output of the council's own generator byte by byte: measurements with it are not
// TPC-H results.
package tpch

import (
	"fmt"
	"slices"
	"strings"
)

// Table is one of the eight.
type Table struct {
	Name    string
	Columns []Column
	Key     []string // the primary key's columns
	write   func(g *generator)
}

// Column is one column of a table with its type in PostgreSQL.
type Column struct{ Name, Type string }

// Tables returns the eight tables, those first that others refer to.
func Tables() []Table {
	return []Table{
		{"region", columns("r_regionkey integer, r_name char(25), r_comment varchar(152)"), []string{"r_regionkey"}, (*generator).regions},
		{"nation", columns("n_nationkey integer, n_name char(25), n_regionkey integer, n_comment varchar(152)"), []string{"n_nationkey"}, (*generator).nations},
		{"supplier", columns("s_suppkey integer, s_name char(25), s_address varchar(40), s_nationkey integer, s_phone char(15), s_acctbal decimal(15,2), s_comment varchar(101)"),
			[]string{"s_suppkey"}, (*generator).suppliers},
		{"part", columns("p_partkey integer, p_name varchar(55), p_mfgr char(25), p_brand char(10), p_type varchar(25), p_size integer, p_container char(10), " +
			"p_retailprice decimal(15,2), p_comment varchar(23)"), []string{"p_partkey"}, (*generator).parts},
		{"partsupp", columns("ps_partkey integer, ps_suppkey integer, ps_availqty integer, ps_supplycost decimal(15,2), ps_comment varchar(199)"),
			[]string{"ps_partkey", "ps_suppkey"}, (*generator).partSuppliers},
		{"customer", columns("c_custkey integer, c_name varchar(25), c_address varchar(40), c_nationkey integer, c_phone char(15), c_acctbal decimal(15,2), " +
			"c_mktsegment char(10), c_comment varchar(117)"), []string{"c_custkey"}, (*generator).customers},
		{"orders", columns("o_orderkey bigint, o_custkey integer, o_orderstatus char(1), o_totalprice decimal(15,2), o_orderdate date, o_orderpriority char(15), " +
			"o_clerk char(15), o_shippriority integer, o_comment varchar(79)"), []string{"o_orderkey"}, (*generator).orders},
		{"lineitem", columns("l_orderkey bigint, l_partkey integer, l_suppkey integer, l_linenumber integer, l_quantity decimal(15,2), l_extendedprice decimal(15,2), " +
			"l_discount decimal(15,2), l_tax decimal(15,2), l_returnflag char(1), l_linestatus char(1), l_shipdate date, l_commitdate date, l_receiptdate date, " +
			"l_shipinstruct char(25), l_shipmode char(10), l_comment varchar(44)"), []string{"l_orderkey", "l_linenumber"}, (*generator).items},
	}
}

func columns(list string) []Column {
	var all []Column
	for c := range strings.SplitSeq(list, ", ") {
		name, kind, _ := strings.Cut(c, " ")
		all = append(all, Column{name, kind})
	}
	return all
}

// Create returns the statement that makes the table in PostgreSQL.
func (t Table) Create() string {
	var all []string
	for _, c := range t.Columns {
		all = append(all, c.Name+" "+c.Type+" not null")
	}
	return fmt.Sprintf("create table %s (%s, primary key (%s))", t.Name, strings.Join(all, ", "), strings.Join(t.Key, ", "))
}

// keys returns the places of the primary key's columns.
func (t Table) keys() []int {
	var at []int
	for _, name := range t.Key {
		at = append(at, slices.IndexFunc(t.Columns, func(c Column) bool { return c.Name == name }))
	}
	return at
}
