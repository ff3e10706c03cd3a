package tenant

import (
	"strings"
	"testing"

	"github.com/pelletier/go-toml/v2"
	"github.com/stretchr/testify/require"
)

func TestLabelsAreKnownAndShort(t *testing.T) {
	for name, x := range map[string]struct {
		labels Labels
		fault  string
	}{
		"none":             {},
		"a word":           {labels: Labels{"status": {"delivered": strings.Repeat("到", MaxLabel)}}},
		"spaces within":    {labels: Labels{"claim": {"paid": "決済 完了　済"}}},
		"empty":            {labels: Labels{"outcome": {"answered": ""}}},
		"unknown kind":     {labels: Labels{"state": {"paid": "x"}}, fault: `label: there are no labels of the kind "state"`},
		"unknown code":     {labels: Labels{"status": {"sent": "x"}}, fault: "label.status.sent: there is no such code"},
		"code of another":  {labels: Labels{"access": {"paid": "x"}}, fault: "label.access.paid: there is no such code"},
		"too long":         {labels: Labels{"status": {"delivered": strings.Repeat("到", MaxLabel+1)}}, fault: "label.status.delivered: has 21 characters, 20 are allowed"},
		"two lines":        {labels: Labels{"status": {"delivered": "到\n達"}}, fault: "label.status.delivered: must be one line, without space around it"},
		"space around":     {labels: Labels{"status": {"delivered": " 到達"}}, fault: "label.status.delivered: must be one line, without space around it"},
		"turned direction": {labels: Labels{"status": {"delivered": "到\u202e達"}}, fault: "label.status.delivered: must be one line, without space around it"},
	} {
		def := water()
		def.Labels = x.labels
		errs := def.Validate()
		if x.fault == "" {
			require.Empty(t, errs, name)
			continue
		}
		require.Len(t, errs, 1, name)
		require.EqualError(t, errs[0], x.fault, name)
	}
}

func TestLabelsOfAFile(t *testing.T) {
	var def Tenant
	require.NoError(t, toml.Unmarshal([]byte("[label.status]\ndelivered = \"到達\"\n[label_en.access]\nnone = \"Unread\"\n"), &def))
	require.Equal(t, "到達", def.Label(LabelStatus, "delivered", "ja"))
	require.Empty(t, def.Label(LabelStatus, "delivered", "en"))
	require.Equal(t, "Unread", def.Label(LabelAccess, AccessNone, "en"))
	require.Empty(t, (*Tenant)(nil).Label(LabelStatus, "delivered", "ja"))
}
