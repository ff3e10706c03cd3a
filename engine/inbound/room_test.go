package inbound

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"

	"github.com/kakitome/kakitome/engine/carrier"
	"github.com/kakitome/kakitome/engine/inbound/donotsend"
	"github.com/kakitome/kakitome/engine/intake"
	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/store"
	"github.com/kakitome/kakitome/engine/tenant"
	"github.com/kakitome/kakitome/smpp/coding"
	"github.com/kakitome/kakitome/smpp/pdu"
)

// room is the room over a real store, with a clock of its own. mizu alone has 0312345678; 21234 is shared with gasu.
type room struct {
	*Inbound
	t   testing.TB
	dir string
	now time.Time
	// minFree is the store's mark of free space; the disk is short where it is above what there is.
	minFree int64
}

func openRoom(t testing.TB) *room {
	t.Helper()
	r := &room{t: t, dir: t.TempDir(), now: time.Now(), minFree: 1}
	require.NoError(t, store.NewMasterKey(filepath.Join(r.dir, "key")))
	r.open()
	for id, addresses := range map[tenant.ID]map[string]string{"mizu": {"docomo": "0312345678", "softbank": "21234"}, "gasu": {"softbank": "21234"}} {
		require.NoError(t, r.Directory.Apply(t.Context(), tenant.Tenant{ID: id, Name: "〇〇局", Brand: tenant.Brand{Phone: "000-000-0000"},
			Senders: []tenant.SenderProfile{{Name: "default", Addresses: addresses}}, Policy: tenant.Policy{StopWords: []string{"いらない"}}}))
	}
	t.Cleanup(func() { _ = r.Store.Close() })
	return r
}

func (r *room) open() {
	r.t.Helper()
	s, err := store.Open(store.Options{Dir: filepath.Join(r.dir, "data"), MasterKey: filepath.Join(r.dir, "key"), MinFree: r.minFree, Cache: 8 << 20, ValueLogSize: 16 << 20,
		Now: func() time.Time { return r.now }, Fatal: func(err error) { r.t.Error(err) }})
	require.NoError(r.t, err)
	d, err := tenant.OpenDirectory(r.t.Context(), s.DirectoryLog())
	require.NoError(r.t, err)
	r.Inbound = New(Options{Store: s, Directory: d, DoNotSend: donotsend.New(s), Now: func() time.Time { return r.now }})
}

// restart closes and opens the store.
func (r *room) restart() {
	r.t.Helper()
	require.NoError(r.t, r.Store.Close())
	r.open()
}

// asked keeps what a deliver_sm was answered.
type asked struct{ status []pdu.Status }

func (a *asked) Respond(s pdu.Status) error { a.status = append(a.status, s); return nil }

const phone = "819000010001"

// sm is a deliver_sm from the phone.
func sm(to, text string) *pdu.SM {
	data, err := coding.Append(nil, coding.UCS2, text)
	if err != nil {
		panic(err)
	}
	return &pdu.SM{Source: pdu.Address{TON: pdu.TONInternational, NPI: pdu.NPIISDN, Addr: []byte(phone)}, Dest: pdu.Address{Addr: []byte(to)}, DataCoding: 0x08, ShortMessage: data}
}

// split is a text in segments: by the SAR parameters, or by a header of 8 or 16 bits.
func split(to, text string, ref uint16, how byte) []*pdu.SM {
	segments, err := coding.Split(text, coding.Options{Alphabet: coding.UCS2, Reference: ref, Wide: how == 'w'})
	if err != nil {
		panic(err)
	}
	var all []*pdu.SM
	for _, seg := range segments {
		p := sm(to, "")
		p.ESMClass, p.ShortMessage = seg.ESMClass(), seg.Data
		if how == 's' {
			p.ESMClass, p.ShortMessage = 0, seg.Data[seg.UDH:]
			p.TLVs = p.TLVs.AppendUint16(pdu.TagSARMsgRefNum, ref).AppendUint8(pdu.TagSARTotalSegments, byte(seg.Total)).AppendUint8(pdu.TagSARSegmentSeqnum, byte(seg.Part))
		}
		all = append(all, p)
	}
	return all
}

// bring hands over what a bind brought at once; all of it must be answered with the status.
func (r *room) bring(want pdu.Status, batch ...*pdu.SM) {
	r.t.Helper()
	var arrivals []arrival
	var all []*asked
	for _, p := range batch {
		a := &asked{}
		all = append(all, a)
		arrivals = append(arrivals, arrival{readPiece(p), a})
	}
	cr := "docomo"
	if len(batch) > 0 && string(batch[0].Dest.Addr) == "21234" {
		cr = "softbank"
	}
	r.take(context.Background(), cr, cr+"-1", arrivals)
	for _, a := range all {
		require.Equal(r.t, []pdu.Status{want}, a.status)
	}
}

// texts are those of a tenant's messages, newest first.
func (r *room) texts(id tenant.ID) (texts []string) {
	r.t.Helper()
	all, _, err := r.List(r.t.Context(), id, Query{Limit: 100})
	require.NoError(r.t, err)
	for _, m := range all {
		if m.Waiting {
			texts = append(texts, fmt.Sprintf("waiting %v", m.Missing))
		} else {
			texts = append(texts, m.Text)
		}
	}
	return texts
}

// sent is a message of the tenant to the phone, submitted at a time.
func (r *room) sent(id tenant.ID, at time.Time) {
	r.t.Helper()
	n, err := carrier.ParseNumber(phone)
	require.NoError(r.t, err)
	terms, err := intake.Filter{Number: n}.Terms(r.Store, id)
	require.NoError(r.t, err)
	errs, err := r.Store.Commit(r.t.Context(), store.Tx{{
		Ref: store.Ref{Tenant: id, Kind: store.Message, ID: ulid.Make()}, Terms: terms,
		Events: []store.NewEvent{
			{Type: byte(message.Accepted), At: at, Data: message.Encode(&message.Head{V: 1, No: "20261128000000001", Class: message.Notice, Sender: "default", Carrier: "softbank", Parts: 1})},
			{Type: byte(message.Submitting), At: at, Data: message.Encode(message.Submission{Part: 1, Attempt: 1, Carrier: "softbank"})},
		},
	}})
	require.NoError(r.t, err)
	require.NoError(r.t, errs[0])
}
