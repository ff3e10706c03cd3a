package campaign

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/kakitome/kakitome/engine/callback"
)

func TestSendersAreToldWhatWasSaid(t *testing.T) {
	r := openRoom(t)
	r.run()
	st := r.check(bills(3))
	_, err := r.Release(t.Context(), mizu, st.ID, Release{By: "key:erp"})
	require.NoError(t, err)
	r.until(st.ID, Done)
	must(r.Pause(t.Context(), mizu, st.ID, "user:hanako"))
	must(r.Resume(t.Context(), mizu, st.ID, "user:taro"))
	must(r.Cancel(t.Context(), mizu, st.ID, "user:hanako", "文面の誤り"))
	r.until(st.ID, Canceled)
	events, err := r.Store.Load(t.Context(), mizu, st.ref)
	require.NoError(t, err)
	told, err := Notices{}.Tell(events)
	require.NoError(t, err)
	var got [][3]string
	for _, n := range told {
		require.Contains(t, callback.Types, n.Type)
		data, err := n.Data(r.Store, nil)
		require.NoError(t, err)
		d := data.(NoticeData)
		got = append(got, [3]string{n.Type, d.By, d.Reason})
		text, err := json.Marshal(d)
		require.NoError(t, err)
		require.NotContains(t, string(text), "請求.csv", "nothing of the file is told")
	}
	require.Equal(t, [][3]string{
		{"upload.released", "key:erp", ""}, {"upload.done", "", ""}, {"upload.paused", "user:hanako", ""}, {"upload.resumed", "user:taro", ""},
		{"upload.canceled", "user:hanako", "文面の誤り"}, {"upload.done", "", ""},
	}, got)
	for _, e := range events {
		for _, n := range told {
			if n.Pos == callback.At(e.Seq, 0) {
				require.Contains(t, Notices{}.May(e.Type), n.Type)
			}
		}
	}
}
