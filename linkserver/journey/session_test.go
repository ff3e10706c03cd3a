package journey

import (
	"encoding/json"
	"reflect"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// What is written by hand is what encoding/json writes, whatever else the session has done: each field that it may have is set alone.
func TestSessionIsWrittenAsJSON(t *testing.T) {
	written := func(s *Session) string {
		t.Helper()
		want, err := json.Marshal(s)
		require.NoError(t, err)
		got, err := s.AppendJSON([]byte("before"))
		require.NoError(t, err)
		require.Equal(t, "before"+string(want), string(got))
		return string(want)
	}
	fresh := *NewSession("a/SQND01gr", time.Unix(1_800_000_000, 0))
	plain := written(&fresh)
	written(&Session{})
	for _, token := range []string{"", `a/"`, "a/<b>", "e/mizu-1.x", "a/\u2028", "a/é", "a/\x00", "a/\xff"} {
		s := fresh
		s.Token = token
		written(&s)
	}
	for i := range reflect.TypeFor[Session]().NumField() {
		s := fresh
		switch f := reflect.ValueOf(&s).Elem().Field(i); f.Kind() {
		case reflect.String:
			f.SetString("<é>")
		case reflect.Bool:
			f.SetBool(true)
		case reflect.Uint8:
			f.SetUint(7)
		case reflect.Int, reflect.Int64:
			f.SetInt(-7)
		case reflect.Slice:
			f.Set(reflect.MakeSlice(f.Type(), 2, 2))
		case reflect.Array:
			f.Index(0).SetUint(255)
		case reflect.Pointer:
			f.Set(reflect.New(f.Type().Elem()))
		default:
			t.Fatalf("field %s is of a kind that this test does not set", reflect.TypeFor[Session]().Field(i).Name)
		}
		require.NotEqual(t, plain, written(&s), "field %d", i)
	}
}
