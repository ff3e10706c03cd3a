package tenant

import (
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestCallbacksAreKeptByApply(t *testing.T) {
	log := &memoryLog{}
	d := open(t, log)
	require.NoError(t, d.Apply(t.Context(), water()))
	set := func(name, url string) error {
		return d.SetCallback(t.Context(), "suido", name, func(c Callback) (Callback, error) { c.URL = url; return c, nil })
	}
	require.NoError(t, set("erp", "https://a.example.com/"))
	require.NoError(t, set("crm", "https://b.example.com/"))
	require.NoError(t, set("erp", "https://c.example.com/"))
	file := water()
	file.Callbacks = []Callback{{Name: "forged", URL: "https://d.example.com/"}}
	require.NoError(t, d.Apply(t.Context(), file), "a definition does not set callbacks")
	want := []Callback{{Name: "erp", URL: "https://c.example.com/"}, {Name: "crm", URL: "https://b.example.com/"}}
	require.Equal(t, want, d.Now().Tenants["suido"].Callbacks)
	require.Equal(t, want, open(t, log).Now().Tenants["suido"].Callbacks)

	require.ErrorIs(t, d.RemoveCallback(t.Context(), "suido", "none"), ErrNoCallback)
	require.NoError(t, d.RemoveCallback(t.Context(), "suido", "erp"))
	_, ok := d.Now().Tenants["suido"].Callback("erp")
	require.False(t, ok)
	require.Error(t, d.RemoveCallback(t.Context(), "gas", "crm"))
	require.Error(t, set("Bad name", "x"))
	failed := errors.New("no")
	require.ErrorIs(t, d.SetCallback(t.Context(), "suido", "crm", func(c Callback) (Callback, error) { return c, failed }), failed)
	for i := range MaxCallbacks - 1 {
		require.NoError(t, set(fmt.Sprint("n", i), "https://a.example.com/"))
	}
	require.ErrorIs(t, set("more", "https://a.example.com/"), ErrTooManyCallbacks)
}
