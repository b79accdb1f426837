package api

import (
	_ "embed"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
)

//go:embed openapi.yaml
var document []byte

// contract is openapi.yaml as requests are judged by it.
type contract struct{ doc *openapi3.T }

func loadContract() (*contract, error) {
	loader := openapi3.NewLoader()
	doc, err := loader.LoadFromData(document)
	if err != nil {
		return nil, fmt.Errorf("openapi.yaml: %w", err)
	}
	if err := doc.Validate(loader.Context); err != nil {
		return nil, fmt.Errorf("openapi.yaml: %w", err)
	}
	return &contract{doc}, nil
}

// operation returns what the contract says of a route.
func (c *contract) operation(method, path string) (*openapi3.Operation, error) {
	item := c.doc.Paths.Value(path)
	if item == nil || item.GetOperation(method) == nil {
		return nil, fmt.Errorf("openapi.yaml lacks %s %s", method, path)
	}
	return item.GetOperation(method), nil
}

// checkQuery returns everything that is wrong with the query of a request.
func checkQuery(op *openapi3.Operation, query url.Values) (wrong []detail) {
	for name := range query {
		if queryParameter(op, name) == nil {
			takes := "it takes none"
			if names := queryNames(op); len(names) > 0 {
				takes = "it takes " + strings.Join(names, ", ")
			}
			wrong = append(wrong, detail{Field: printable(name), Message: "is not a query parameter of this call; " + takes})
		}
	}
	for _, ref := range op.Parameters {
		p := ref.Value
		if p.In != openapi3.ParameterInQuery {
			continue
		}
		name, values := p.Name, query[p.Name]
		switch {
		case len(values) > 1:
			wrong = append(wrong, detail{Field: name, Message: "is given more than once"})
		case len(values) == 0 && p.Required:
			wrong = append(wrong, detail{Field: name, Message: "is missing: add it to the query"})
		case len(values) == 1:
			wrong = append(wrong, checkValue(p.Schema.Value, parameterValue(p.Schema.Value, values[0]), name)...)
		}
	}
	return sorted(wrong)
}

// queryParameter returns what the contract says of a query parameter, nil for
// nothing.
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

// parameterValue reads a query parameter as what its schema wants.
func parameterValue(s *openapi3.Schema, text string) any {
	if s.Type.Is(openapi3.TypeInteger) {
		if n, err := strconv.ParseInt(text, 10, 64); err == nil {
			return float64(n)
		}
	}
	return text
}

// checkValue returns everything that is wrong with a value, each with the place
// below at.
func checkValue(s *openapi3.Schema, value any, at string) (wrong []detail) {
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
			wrong = append(wrong, explain(one, at))
		default:
			wrong = append(wrong, detail{Field: at, Message: "is not valid"})
		}
	}
	collect(err)
	return sorted(wrong)
}

// plainNumber writes a number without an exponent.
func plainNumber(n float64) string { return strconv.FormatFloat(n, 'f', -1, 64) }

// explain says what a value must be, never what it is.
func explain(e *openapi3.SchemaError, at string) detail {
	path, s := place(at, e.JSONPointer()), e.Schema
	must := func(format string, args ...any) detail {
		return detail{Field: path, Message: fmt.Sprintf(format, args...)}
	}
	switch e.SchemaField {
	case "required":
		return must("is missing")
	case "properties", "additionalProperties":
		// The pointer ends at the unknown key where there is one.
		takes := ""
		if names := propertyNames(s); len(names) > 0 {
			takes = "; it takes " + strings.Join(names, ", ")
		}
		if name, ok := unknownKey(e.Reason); ok {
			path = place(at, append(slices.Clone(e.JSONPointer()), name))
		}
		return detail{Field: path, Message: "is not a known field" + takes}
	case "type", "nullable":
		return must("must be %s", kindOf(s))
	case "enum":
		values := make([]string, 0, len(s.Enum))
		for _, v := range s.Enum {
			if v != nil { // null is as good as absent and no choice to tell of
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

// unknownKey finds the key in the reason of an error about an unknown property.
func unknownKey(reason string) (string, bool) {
	quoted, ok := strings.CutPrefix(reason, "property ")
	quoted, ok2 := strings.CutSuffix(quoted, " is unsupported")
	name, err := strconv.Unquote(quoted)
	return name, ok && ok2 && err == nil
}

func propertyNames(s *openapi3.Schema) []string {
	if s == nil {
		return nil
	}
	names := make([]string, 0, len(s.Properties))
	for name := range s.Properties {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
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

// place writes a JSON pointer as people do: sources[0].name.
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
		b = append(b, printable(part)...)
	}
	if len(b) == 0 {
		return "body"
	}
	return string(b)
}

// printable shortens a caller's own name of something for an answer.
func printable(name string) string {
	runes := []rune(strings.ToValidUTF8(name, "?"))
	if len(runes) > 64 {
		return string(runes[:64]) + "..."
	}
	return string(runes)
}

func sorted(details []detail) []detail {
	slices.SortFunc(details, func(a, b detail) int { return strings.Compare(a.Field+"\x00"+a.Message, b.Field+"\x00"+b.Message) })
	return slices.Compact(details)
}
