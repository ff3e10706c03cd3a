package stored

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"

	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/store"
)

func TestSealedPartsAreBoundToTheirMessageAndPlace(t *testing.T) {
	dir := t.TempDir()
	key := filepath.Join(dir, "master.key")
	require.NoError(t, store.NewMasterKey(key))
	st, err := store.Open(store.Options{Dir: filepath.Join(dir, "data"), MasterKey: key, MinFree: 1})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, st.Close()) })

	now := time.Date(2026, 4, 1, 9, 0, 0, 0, time.UTC)
	id := ulid.Make()
	seal := func(place string, plain []byte) []byte {
		box, err := st.Seal("suido", string(message.Notice), now, AAD(id, place), plain)
		require.NoError(t, err)
		return box
	}
	sms := message.SMS{Number: "+819000010001", Text: "お知らせ", Reference: "C-1"}
	content := message.Content{Page: message.Page{Title: "お知らせ"}}
	h := message.Head{V: 1, SMS: seal(PlaceSMS, message.Encode(sms)), Page: seal(PlacePage, message.Encode(content))}

	gotSMS, err := SMS(st, "suido", id, &h)
	require.NoError(t, err)
	require.Equal(t, sms, gotSMS)
	gotContent, err := Content(st, "suido", id, &h)
	require.NoError(t, err)
	require.Equal(t, content, gotContent)
	none, err := Content(st, "suido", id, &message.Head{V: 1})
	require.NoError(t, err)
	require.Empty(t, none)

	_, err = SMS(st, "suido", ulid.Make(), &h)
	require.Error(t, err, "of another message")
	_, err = SMS(st, "suido", id, &message.Head{V: 1, SMS: h.Page})
	require.Error(t, err, "of another place")
	_, err = SMS(st, "gasu", id, &h)
	require.Error(t, err, "of another tenant")
	_, err = SMS(st, "suido", id, &message.Head{V: 1, SMS: seal(PlaceSMS, []byte("\xff\xff"))})
	require.ErrorIs(t, err, ErrForm)
}

func TestStateIsTheFoldOfTheStream(t *testing.T) {
	ref := store.Ref{Tenant: "suido", Kind: store.Message, ID: ulid.Make()}
	events := []store.Event{
		{Ref: ref, Type: byte(message.Accepted), Data: message.Encode(message.Head{V: 1, No: "1", Parts: 1})},
		{Ref: ref, Seq: 1, Type: byte(message.Submitted), Data: message.Encode(message.Submission{Part: 1})},
		{Ref: ref, Seq: 2, Type: byte(message.Delivered), Data: message.Encode(message.Report{Part: 1})},
	}
	s, err := State(events)
	require.NoError(t, err)
	require.Equal(t, message.Arrived, s.Phase)
	events[1].Data = []byte("\xff")
	_, err = State(events)
	require.ErrorIs(t, err, ErrForm)
	require.ErrorContains(t, err, ref.ID.String())
}
