package api

import (
	"encoding/json"
	"net/http"
	"testing"

	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"

	"github.com/kakitome/kakitome/engine/document"
	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/store"
)

// A file may be behind every message of a million: a list counts less far than the question for one file, and both say how far.
func TestMessagesOfAFileAreCountedSoFar(t *testing.T) {
	r := openRoom(t)
	var file Document
	require.NoError(t, json.Unmarshal([]byte(r.do(call{method: "POST", path: "/v1/documents?name=a", body: minimalPDF, header: map[string]string{"Content-Type": "application/pdf"}}).body), &file))
	more := func(n int) {
		var all []store.Tx
		for range n {
			all = append(all, store.Tx{{Ref: store.Ref{Tenant: "mizu", Kind: store.Message, ID: ulid.Make()}, Events: []store.NewEvent{{Type: byte(message.Accepted), Data: message.Append(nil, &message.Head{V: 1, Class: message.Notice})}},
				Terms: []store.Term{{Field: document.MessageField, Value: file.ID}}}})
		}
		errs, err := r.Store.Commit(t.Context(), all...)
		require.NoError(t, err)
		for _, err := range errs {
			require.NoError(t, err)
		}
	}
	counts := func() (listed, alone int) {
		var list DocumentList
		a := r.do(call{method: "GET", path: "/v1/documents"})
		require.Equal(t, http.StatusOK, a.status, a.body)
		require.NoError(t, json.Unmarshal([]byte(a.body), &list))
		var one Document
		require.NoError(t, json.Unmarshal([]byte(r.do(call{method: "GET", path: "/v1/documents/" + file.ID}).body), &one))
		return list.Documents[0].Messages, one.Messages
	}
	more(document.UsesListed - 1)
	listed, alone := counts()
	require.Equal(t, []int{document.UsesListed - 1, document.UsesListed - 1}, []int{listed, alone})
	more(2)
	listed, alone = counts()
	require.Equal(t, []int{document.UsesListed, document.UsesListed + 1}, []int{listed, alone})
}
