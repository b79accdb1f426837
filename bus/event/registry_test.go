package event

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// declared returns what the package's own files declare: the types with a method
// EventName, the reasons and the kinds.
func declared(t *testing.T) (events, reasons, kinds []string) {
	t.Helper()
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.FuncDecl:
				if n.Name.Name == "EventName" && n.Recv != nil {
					events = append(events, n.Recv.List[0].Type.(*ast.StarExpr).X.(*ast.Ident).Name)
				}
			case *ast.GenDecl:
				for _, s := range n.Specs {
					v, ok := s.(*ast.ValueSpec)
					if n.Tok != token.CONST || !ok || len(v.Values) != 1 {
						continue
					}
					text, ok := v.Values[0].(*ast.BasicLit)
					if !ok {
						continue
					}
					value := strings.Trim(text.Value, `"`)
					switch of, typed := v.Type.(*ast.Ident); {
					case typed && of.Name == "Reason":
						reasons = append(reasons, value)
					case strings.HasPrefix(v.Names[0].Name, "Kind"):
						kinds = append(kinds, value)
					}
				}
			}
			return true
		})
	}
	return events, reasons, kinds
}

// TestRegistryIsWhole holds that whatever is declared as an event, a reason or a
// kind of operation is in the list that everybody else is held against.
func TestRegistryIsWhole(t *testing.T) {
	var events, reasons []string
	for _, d := range All() {
		events = append(events, d.EventName())
	}
	for _, reason := range Reasons() {
		reasons = append(reasons, string(reason))
	}
	wantEvents, wantReasons, wantKinds := declared(t)
	for _, c := range []struct {
		what      string
		got, want []string
	}{{"registry", events, wantEvents}, {"Reasons", reasons, wantReasons}, {"Kinds", Kinds(), wantKinds}} {
		for _, name := range c.want {
			if !slices.Contains(c.got, name) {
				t.Errorf("%s lacks %s", c.what, name)
			}
		}
		slices.Sort(c.got)
		if n := len(slices.Compact(slices.Clone(c.got))); n != len(c.got) || n != len(c.want) || n == 0 {
			t.Errorf("%s holds %d names, %d different ones, and %d are declared", c.what, len(c.got), n, len(c.want))
		}
	}
	for _, d := range All() {
		if back := New(d.EventName()); back == nil || back.EventName() != d.EventName() {
			t.Errorf("New(%q) is %T", d.EventName(), back)
		}
	}
}
