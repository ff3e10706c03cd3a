package company

import (
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func FuzzInput(f *testing.F) {
	f.Add(`{"number":"123","times":4,"all":true}`, "application/json")
	f.Add(`number=123&all=true`, "application/x-www-form-urlencoded; charset=utf-8")
	f.Add(`{"number":null}`, "")
	f.Fuzz(func(t *testing.T, body, contentType string) {
		r := httptest.NewRequest("POST", "/till/pay", strings.NewReader(body))
		r.Header.Set("Content-Type", contentType)
		in, err := readInput(httptest.NewRecorder(), r, "number", "times", "all")
		if err != nil {
			return
		}
		for name := range in.values {
			require.Contains(t, []string{"number", "times", "all"}, name)
		}
	})
}
