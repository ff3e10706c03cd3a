package apptest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kakitome/kakitome/engine/api"
	"github.com/kakitome/kakitome/engine/callback"
	"github.com/kakitome/kakitome/engine/message"
)

// TestJudgeKnowsTheOrderOfEvents: words are events, behind a slash the segment.
func TestJudgeKnowsTheOrderOfEvents(t *testing.T) {
	for events, wrong := range map[string]string{
		"accepted submitting/1 submitted/1 delivered/1":                                      "",
		"accepted submitting/1 submitting/2 submitted/2 in_doubt/1 submitting/1 submitted/1": "",
		"accepted submitting/1 in_doubt/1 submitted/1 delivered/1":                           "",
		"accepted submitting/1 delivered/1 submitted/1":                                      "",
		"submitting/1 submitted/1":                                                           "event 0 is submitting",
		"accepted submitting/1 accepted":                                                     "event 2 is accepted",
		"accepted submitted/1":                                                               "without a submission",
		"accepted submitting/1 submitted/2":                                                  "without a submission",
		"accepted submitting/1 submitted/1 delivered/1 submitting/1":                         "submitted anew",
		"accepted submitting/1 submitting/1":                                                 "submitted anew",
		"accepted submitting/2 delivered/1":                                                  "without a submission",
		"accepted submitting/1 submitted/1 in_doubt/1":                                       "without a submission",
	} {
		var timeline []api.Entry
		for word := range strings.FieldsSeq(events) {
			event, part, _ := strings.Cut(word, "/")
			timeline = append(timeline, api.Entry{At: time.Unix(1, 0), Of: "message", Event: event, Detail: map[string]string{"part": part}})
			timeline = append(timeline, api.Entry{At: time.Unix(1, 0), Of: "claim", Event: "made"})
		}
		if err := inOrder(timeline, false); wrong == "" {
			require.NoError(t, err, events)
		} else {
			require.ErrorContains(t, err, wrong, events)
		}
	}
}

func TestJudgeKnowsTheOrderOfCallbacks(t *testing.T) {
	accepted := Notice{callback.MessageAccepted, 1, message.Waiting}
	submitted := Notice{callback.MessageSubmitted, 3, message.Confirming}
	delivered := Notice{callback.MessageDelivered, 4, message.Arrived}
	for name, c := range map[string]struct {
		got   []Notice
		end   message.Phase
		again int
		wrong string
	}{
		"whole":                {[]Notice{accepted, submitted, delivered}, message.Arrived, 0, ""},
		"told twice":           {[]Notice{accepted, submitted, submitted, delivered, delivered}, message.Arrived, 2, ""},
		"receipt since":        {[]Notice{accepted, submitted, delivered}, message.Confirming, 0, ""},
		"nothing":              {nil, message.Arrived, 0, "does not begin"},
		"no beginning":         {[]Notice{submitted, delivered}, message.Arrived, 0, "does not begin"},
		"no end":               {[]Notice{accepted, submitted}, message.Arrived, 0, "it ends with"},
		"backwards":            {[]Notice{accepted, delivered, submitted}, message.Confirming, 0, "came behind"},
		"one event, two words": {[]Notice{accepted, {callback.MessageSubmitted, 4, message.Confirming}, delivered}, message.Arrived, 0, "was told as"},
	} {
		again, err := inTurn(c.got, c.end)
		require.Equal(t, c.again, again, name)
		if c.wrong == "" {
			require.NoError(t, err, name)
		} else {
			require.ErrorContains(t, err, c.wrong, name)
		}
	}
}

// TestLedgerOfKilledCarriersIsRead: half a line of a killed carrier, segments of a message that nobody joined, a phone's.
func TestLedgerOfKilledCarriersIsRead(t *testing.T) {
	file := filepath.Join(t.TempDir(), "ledger")
	require.NoError(t, os.WriteFile(file, []byte(`{"event":"received","dest":"8107001000000","text":"一つ"}
{"event":"part","part":1,"of":2,"dest":"8107001000001","te{"event":"part","part":1,"of":2,"dest":"8107001000001","text":"前"}
{"event":"part","part":2,"of":2,"dest":"8107001000001","text":"後"}
{"event":"part","part":2,"of":2,"dest":"8107001000001","text":"後"}
{"event":"received","dest":"8107001000001","ids":["a","b"],"text":"前後"}
{"event":"phone","of":2,"text":"返信"}
{"event":"taken","part":2,"of":2,"text":"返信"}
{"event":"rec`), 0o600))
	l, err := ReadLedger(file)
	require.NoError(t, err)
	require.Equal(t, map[string]map[int][]string{"007001000000": {1: {"一つ"}}, "007001000001": {1: {"前"}, 2: {"後", "後"}}}, l.Pieces)
	require.Equal(t, "前後", copies(l.Pieces["007001000001"]).text())
	require.True(t, copies(l.Pieces["007001000001"]).whole(2))
	require.False(t, copies(l.Pieces["007001000001"]).whole(3))
	require.Equal(t, map[string]*Written{"返信": {Segments: 2, Taken: map[int]bool{2: true}}}, l.Phones)
}
