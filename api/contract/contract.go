// Package contract validates requests against an OpenAPI document: their query
// and their body. Problems name the place and what is expected there, and quote
// nothing that was sent.
package contract

import (
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
)

// Problem is what is wrong in one place of a request.
type Problem struct {
	Field   string // such as sources[0].name; "body" for all of it
	Message string // continues after the field: "must be a string"
}

// Contract is an OpenAPI document. It is safe for concurrent use.
type Contract struct{ doc *openapi3.T }

// Load reads an OpenAPI document. It fails if the document is not valid.
func Load(openapi []byte) (*Contract, error) {
	loader := openapi3.NewLoader()
	doc, err := loader.LoadFromData(openapi)
	if err != nil {
		return nil, fmt.Errorf("openapi.yaml: %w", err)
	}
	if err := doc.Validate(loader.Context); err != nil {
		return nil, fmt.Errorf("openapi.yaml: %w", err)
	}
	return &Contract{doc}, nil
}

// Operation is one call of the contract.
type Operation struct{ op *openapi3.Operation }

// Operation returns the operation of a method and a path, such as GET
// /sources/{id}. It fails if the contract has none.
func (c *Contract) Operation(method, path string) (*Operation, error) {
	item := c.doc.Paths.Value(path)
	if item == nil || item.GetOperation(method) == nil {
		return nil, fmt.Errorf("openapi.yaml lacks %s %s", method, path)
	}
	return &Operation{item.GetOperation(method)}, nil
}

// ID returns the operationId.
func (o *Operation) ID() string { return o.op.OperationID }

// NeedsBody reports whether a request must have a body.
func (o *Operation) NeedsBody() bool { return o.op.RequestBody.Value.Required }

// CheckBody returns every problem with the body of a request, which must be one
// JSON object. Call it only for operations that have a body.
func (o *Operation) CheckBody(body []byte) []Problem {
	value, wrong := parseJSON(body)
	if wrong != nil {
		return []Problem{*wrong}
	}
	return checkValue(o.op.RequestBody.Value.Content.Get("application/json").Schema.Value, value, "")
}

// CheckQuery returns every problem with the query of a request.
func (o *Operation) CheckQuery(query url.Values) (wrong []Problem) {
	for name := range query {
		if queryParameter(o.op, name) == nil {
			takes := "it takes none"
			if names := queryNames(o.op); len(names) > 0 {
				takes = "it takes " + strings.Join(names, ", ")
			}
			wrong = append(wrong, Problem{Printable(name), "is not a query parameter of this call; " + takes})
		}
	}
	for _, ref := range o.op.Parameters {
		p := ref.Value
		if p.In != openapi3.ParameterInQuery {
			continue
		}
		name, values := p.Name, query[p.Name]
		switch {
		case len(values) > 1:
			wrong = append(wrong, Problem{name, "is given more than once"})
		case len(values) == 0 && p.Required:
			wrong = append(wrong, Problem{name, "is missing: add it to the query"})
		case len(values) == 1:
			wrong = append(wrong, checkValue(p.Schema.Value, parameterValue(p.Schema.Value, values[0]), name)...)
		}
	}
	return sorted(wrong)
}

// queryParameter returns the parameter of that name, or nil.
func queryParameter(op *openapi3.Operation, name string) *openapi3.Parameter {
	for _, ref := range op.Parameters {
		if ref.Value.In == openapi3.ParameterInQuery && ref.Value.Name == name {
			return ref.Value
		}
	}
	return nil
}

func queryNames(op *openapi3.Operation) (names []string) {
	for _, ref := range op.Parameters {
		if ref.Value.In == openapi3.ParameterInQuery {
			names = append(names, ref.Value.Name)
		}
	}
	return names
}

// parameterValue parses a query parameter as its schema's type.
func parameterValue(s *openapi3.Schema, text string) any {
	if s.Type.Is(openapi3.TypeInteger) {
		if n, err := strconv.ParseInt(text, 10, 64); err == nil {
			return float64(n)
		}
	}
	return text
}

// checkValue returns every problem with a value. Their fields begin with at.
func checkValue(s *openapi3.Schema, value any, at string) (wrong []Problem) {
	err := s.VisitJSON(value, openapi3.MultiErrors(), openapi3.VisitAsRequest(), openapi3.EnableFormatValidation())
	var collect func(error)
	collect = func(err error) {
		var many openapi3.MultiError
		var one *openapi3.SchemaError
		switch {
		case err == nil:
		case errors.As(err, &many):
			for _, e := range many {
				collect(e)
			}
		case errors.As(err, &one):
			wrong = append(wrong, explain(one, at)...)
		default:
			wrong = append(wrong, Problem{at, "is not valid"})
		}
	}
	collect(err)
	return sorted(wrong)
}

// plainNumber returns a number without an exponent.
func plainNumber(n float64) string { return strconv.FormatFloat(n, 'f', -1, 64) }

// explain says what a value must be, never what it is.
func explain(e *openapi3.SchemaError, at string) []Problem {
	path, s := place(at, e.JSONPointer()), e.Schema
	must := func(format string, args ...any) []Problem {
		return []Problem{{path, fmt.Sprintf(format, args...)}}
	}
	switch e.SchemaField {
	case "required":
		return must("is missing")
	case "properties", "additionalProperties":
		takes := ""
		if names := propertyNames(s); len(names) > 0 {
			takes = "; it takes " + strings.Join(names, ", ")
		}
		object, _ := e.Value.(map[string]any)
		var wrong []Problem
		for _, name := range slices.Sorted(maps.Keys(object)) {
			if s.Properties[name] == nil {
				wrong = append(wrong, Problem{place(at, append(slices.Clone(e.JSONPointer()), name)), "is not a known field" + takes})
			}
		}
		return wrong
	case "type", "nullable":
		return must("must be %s", kindOf(s))
	case "enum":
		values := make([]string, 0, len(s.Enum))
		for _, v := range s.Enum {
			if v != nil { // null counts as absent and is not offered as a choice
				values = append(values, fmt.Sprint(v))
			}
		}
		return must("must be one of %s", strings.Join(values, ", "))
	case "pattern":
		return must("must match %s", s.Pattern)
	case "minLength":
		if s.MinLength == 1 {
			return must("must not be empty")
		}
		return must("must have at least %d characters", s.MinLength)
	case "maxLength":
		return must("must have at most %d characters", *s.MaxLength)
	case "minItems":
		if s.MinItems == 1 {
			return must("must not be empty")
		}
		return must("must have at least %d entries", s.MinItems)
	case "maxItems":
		return must("must have at most %d entries", *s.MaxItems)
	case "minimum":
		return must("must be at least %s", plainNumber(*s.Min))
	case "maximum":
		return must("must be at most %s", plainNumber(*s.Max))
	case "maxProperties":
		return must("must have at most %d fields", *s.MaxProps)
	case "minProperties":
		return must("must have at least %d fields", s.MinProps)
	}
	return must("is not valid")
}

func propertyNames(s *openapi3.Schema) []string {
	if s == nil {
		return nil
	}
	return slices.Sorted(maps.Keys(s.Properties))
}

func kindOf(s *openapi3.Schema) string {
	if s == nil || s.Type == nil || len(*s.Type) == 0 {
		return "another type"
	}
	kind := (*s.Type)[0]
	switch kind {
	case "array", "object", "integer":
		kind = "an " + kind
	default:
		kind = "a " + kind
	}
	if s.Nullable {
		kind += " or null"
	}
	return kind
}

// place writes a JSON pointer (RFC 6901) in the form people use:
// sources[0].name.
func place(at string, pointer []string) string {
	b := []byte(at)
	for _, part := range pointer {
		if _, err := strconv.Atoi(part); err == nil {
			b = append(b, '[')
			b = append(b, part...)
			b = append(b, ']')
			continue
		}
		if len(b) > 0 {
			b = append(b, '.')
		}
		b = append(b, Printable(part)...)
	}
	if len(b) == 0 {
		return "body"
	}
	return string(b)
}

// Printable shortens a name that the caller sent, for use in an answer.
func Printable(name string) string {
	runes := []rune(strings.ToValidUTF8(name, "?"))
	if len(runes) > 64 {
		return string(runes[:64]) + "..."
	}
	return string(runes)
}

func sorted(wrong []Problem) []Problem {
	slices.SortFunc(wrong, func(a, b Problem) int { return strings.Compare(a.Field+"\x00"+a.Message, b.Field+"\x00"+b.Message) })
	return slices.Compact(wrong)
}
