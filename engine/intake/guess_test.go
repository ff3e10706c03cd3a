package intake

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/kakitome/kakitome/engine/message"
)

func TestEasilyGuessedIdentityIsWarnedOfAndAccepted(t *testing.T) {
	r := openRoom(t)
	items := func(fields ...string) (all []message.IdentityItem) {
		for _, f := range fields {
			all = append(all, message.IdentityItem{Field: f, Label: "合言葉", Value: "1"})
		}
		return all
	}
	for name, c := range map[string]struct {
		id      *message.Identity
		got     int64 // 0: no warning
		unknown bool
	}{
		"nothing":         {nil, 0, false},
		"hard":            {&message.Identity{Items: items("birth_date")}, 0, false},
		"easy":            {&message.Identity{Items: items("postcode")}, 1, false},
		"easy and a code": {&message.Identity{Items: items("postcode"), Code: true}, 0, false},
		"nobody knows":    {&message.Identity{Items: items("free")}, 1, true},
		"code":            {&message.Identity{Code: true}, 0, false},
	} {
		d := bill()
		d.Identity = c.id
		for _, dry := range []bool{true, false} {
			results, err := r.Accept(t.Context(), Request{Tenant: "mizu", Via: message.ViaAPI, By: "key:erp", Drafts: []message.Draft{d}, DryRun: dry})
			require.NoError(t, err)
			res := results[0]
			require.Empty(t, res.Problems, name)
			require.Equal(t, !dry, res.Accepted(), name)
			if dry {
				require.Equal(t, c.id != nil, res.Preview.Guess != nil, name)
			}
			if c.got == 0 {
				require.Empty(t, res.Warnings, name)
				continue
			}
			require.Len(t, res.Warnings, 1, name)
			w := res.Warnings[0]
			require.Equal(t, [4]any{"identity", message.CodeGuessable, int64(1000), c.got}, [4]any{w.Field, w.Code, w.Limit, w.Got}, name)
			require.Equal(t, c.unknown, w.Detail != "", name)
			require.Contains(t, w.Text("ja"), "推測されやすい組み合わせです")
			require.Contains(t, w.Text("en"), "is easily guessed")
		}
	}
}
