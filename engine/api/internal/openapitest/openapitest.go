// Package openapitest holds what handlers answer against an OpenAPI 3.1 document: each answer's body against the schema of
// its path, method and status, and, at the end, what is described against what was asked for.
package openapitest

import (
	"bytes"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/require"
)

// Document is a document under test. Paths has the descriptions of responses by path, method (lower case) and status.
type Document struct {
	Paths map[string]map[string]Operation

	t        testing.TB
	compiler *jsonschema.Compiler
	asked    map[string]bool
}

// Operation is one method of a path.
type Operation struct {
	Responses map[string]json.RawMessage
}

// Read reads a document of JSON. Its schemas have the dialect 2020-12, and formats count.
func Read(t testing.TB, document []byte) *Document {
	t.Helper()
	d := &Document{t: t, compiler: jsonschema.NewCompiler(), asked: map[string]bool{}}
	require.NoError(t, json.Unmarshal(document, d))
	raw, err := jsonschema.UnmarshalJSON(bytes.NewReader(document))
	require.NoError(t, err)
	d.compiler.DefaultDraft(jsonschema.Draft2020)
	d.compiler.AssertFormat()
	require.NoError(t, d.compiler.AddResource("openapi.json", raw))
	return d
}

// Answered holds an answer against its description. An answer of many lines has one value a line.
func (d *Document) Answered(path, method, status string, header http.Header, body []byte) {
	d.t.Helper()
	name := path + " " + method + " " + status
	response, described := d.Paths[path][method].Responses[status]
	require.True(d.t, described, "%s is not described", name)
	d.asked[name] = true
	var res struct {
		Ref     string `json:"$ref"`
		Content map[string]struct {
			Schema struct {
				Ref string `json:"$ref"`
			}
		}
	}
	require.NoError(d.t, json.Unmarshal(response, &res))
	contentType := header.Get("Content-Type")
	switch {
	case res.Ref != "":
		require.Equal(d.t, "application/problem+json", contentType, name)
		require.NotEmpty(d.t, header.Get("X-Request-Id"), name)
		d.Valid("Problem", body)
	case len(res.Content) == 0:
		require.Empty(d.t, body, name)
	default:
		require.Contains(d.t, res.Content, contentType, name)
		if ref := res.Content[contentType].Schema.Ref; ref != "" {
			d.Valid(strings.TrimPrefix(ref, "#/components/schemas/"), body)
		}
	}
}

// Valid holds JSON, one value a line, against a schema of the document.
func (d *Document) Valid(schema string, body []byte) {
	d.t.Helper()
	sch, err := d.compiler.Compile("openapi.json#/components/schemas/" + schema)
	require.NoError(d.t, err)
	require.NotEmpty(d.t, body, "no %s", schema)
	for line := range bytes.Lines(body) {
		v, err := jsonschema.UnmarshalJSON(bytes.NewReader(line))
		require.NoError(d.t, err, "%s", line)
		require.NoError(d.t, sch.Validate(v), "%s", line)
	}
}

// Unasked are the paths, methods and statuses that are described for the paths of which ours is true, and for which there
// was no answer yet; without the statuses left out.
func (d *Document) Unasked(ours func(path string) bool, without ...string) []string {
	var unasked []string
	for path, methods := range d.Paths {
		if !ours(path) {
			continue
		}
		for method, op := range methods {
			for status := range op.Responses {
				if name := path + " " + method + " " + status; !d.asked[name] && !slices.Contains(without, status) {
					unasked = append(unasked, name)
				}
			}
		}
	}
	slices.Sort(unasked)
	return unasked
}
