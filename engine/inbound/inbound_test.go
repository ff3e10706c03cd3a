package inbound

import (
	"context"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/kakitome/kakitome/engine/callback"
	"github.com/kakitome/kakitome/engine/carrier"
	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/store"
	"github.com/kakitome/kakitome/engine/tenant"
	"github.com/kakitome/kakitome/smpp/pdu"
)

// long needs four segments and has a pair of surrogates at every cut.
var long = strings.Repeat("𠮷", 120) + "です。"

func TestMessageFromAPhoneIsKeptForItsTenant(t *testing.T) {
	r := openRoom(t)
	r.bring(pdu.StatusOK, sm("0312345678", "はい、届きました"))
	intl := sm("81312345678", "もう一通")
	intl.Dest.TON = pdu.TONInternational
	r.bring(pdu.StatusOK, intl)
	require.Equal(t, []string{"もう一通", "はい、届きました"}, r.texts("mizu"))
	require.Empty(t, r.texts("gasu"))
	r.bring(pdu.StatusOK, sm("99999", "誰宛でもない"))
	require.Equal(t, []string{"誰宛でもない"}, r.texts(tenant.OperatorID))

	r.restart()
	n, err := carrier.ParseNumber(phone)
	require.NoError(t, err)
	all, next, err := r.List(t.Context(), "mizu", Query{Number: n, Limit: 1})
	require.NoError(t, err)
	require.Len(t, all, 1)
	require.Equal(t, Message{ID: all[0].ID, At: all[0].At, Carrier: "docomo", From: "090-****-0001", Number: "+819000010001", To: "0312345678", Text: "もう一通", Segments: 1}, all[0])
	rest, end, err := r.List(t.Context(), "mizu", Query{Number: n, Limit: 1, Before: next})
	require.NoError(t, err)
	require.Equal(t, "はい、届きました", rest[0].Text)
	require.Zero(t, end)
	one, err := r.Get(t.Context(), "mizu", all[0].ID)
	require.NoError(t, err)
	require.Equal(t, all[0], one)
	_, err = r.Get(t.Context(), "gasu", all[0].ID)
	require.ErrorIs(t, err, store.ErrNotFound)
}

func TestSharedAddressBelongsToWhoeverSentLast(t *testing.T) {
	r := openRoom(t)
	r.bring(pdu.StatusOK, sm("21234", "一"))
	require.Equal(t, []string{"一"}, r.texts(tenant.OperatorID))
	r.sent("mizu", r.now.Add(-31*24*time.Hour))
	r.bring(pdu.StatusOK, sm("21234", "二"))
	require.Len(t, r.texts(tenant.OperatorID), 2, "too long ago")
	r.sent("mizu", r.now.Add(-2*time.Hour))
	r.sent("gasu", r.now.Add(-time.Hour))
	r.bring(pdu.StatusOK, sm("21234", "三"))
	require.Equal(t, []string{"三"}, r.texts("gasu"))
	r.sent("mizu", r.now.Add(-time.Minute))
	r.bring(pdu.StatusOK, sm("21234", "四"))
	require.Equal(t, []string{"四"}, r.texts("mizu"))
}

// TestSegmentsAreJoinedHoweverTheyCome: in any order, in any batches, some of them twice, with restarts between.
func TestSegmentsAreJoinedHoweverTheyCome(t *testing.T) {
	r := openRoom(t)
	ref := uint16(0)
	rapid.Check(t, func(rt *rapid.T) {
		ref++
		if ref == 256 {
			rt.SkipNow() // the reference comes round: another test
		}
		text := strings.Repeat("𠮷", rapid.IntRange(70, 200).Draw(rt, "length")) + string(rune('あ'+ref%80))
		parts := split("0312345678", text, ref, rapid.SampledFrom([]byte("8ws")).Draw(rt, "how"))
		order := rapid.Permutation(parts).Draw(rt, "order")
		order = append(order[:len(order)-1:len(order)-1], append([]*pdu.SM{rapid.SampledFrom(order[:len(order)-1]).Draw(rt, "twice")}, order[len(order)-1])...)
		before := len(r.texts("mizu"))
		for len(order) > 0 {
			n := rapid.IntRange(1, len(order)).Draw(rt, "batch")
			r.bring(pdu.StatusOK, order[:n]...)
			order = order[n:]
			if len(order) > 0 && ref%16 == 0 {
				r.restart()
			}
		}
		texts := r.texts("mizu")
		require.Equal(rt, text, texts[0])
		require.Len(rt, texts, min(before+1, 100))
	})
}

func TestTwoBindsBringTheSegmentsAtOnce(t *testing.T) {
	r := openRoom(t)
	for round := range uint16(8) {
		parts := split("0312345678", long, round, 'w')
		rand.Shuffle(len(parts), func(i, j int) { parts[i], parts[j] = parts[j], parts[i] })
		var wg sync.WaitGroup
		for _, p := range append(parts, parts[0]) {
			wg.Go(func() {
				a := &asked{}
				r.take(context.Background(), "docomo", "docomo-2", []arrival{{readPiece(p), a}})
				if !slices.Equal(a.status, []pdu.Status{pdu.StatusOK}) {
					t.Errorf("answered %v", a.status)
				}
			})
		}
		wg.Wait()
	}
	whole := 0
	for _, text := range r.texts("mizu") {
		if text == long {
			whole++
		}
	}
	require.Equal(t, 8, whole)
}

func TestMissingSegmentsAreGivenUp(t *testing.T) {
	r := openRoom(t)
	parts := split("0312345678", long, 7, '8')
	r.bring(pdu.StatusOK, parts[0], parts[2])
	require.Equal(t, []string{"waiting [2 4]"}, r.texts("mizu"))
	r.now = r.now.Add(joinFor - time.Second)
	require.NoError(t, r.giveUp(t.Context()))
	require.Equal(t, []string{"waiting [2 4]"}, r.texts("mizu"))
	r.restart()
	r.now = r.now.Add(2 * time.Second)
	require.NoError(t, r.giveUp(t.Context()))
	require.Equal(t, []string{strings.Repeat("𠮷", 33) + "…" + strings.Repeat("𠮷", 33) + "…"}, r.texts("mizu"))
	require.NoError(t, r.giveUp(t.Context()))

	r.bring(pdu.StatusOK, parts[1]) // too late: a message of its own
	r.now = r.now.Add(joinFor)
	require.NoError(t, r.giveUp(t.Context()))
	require.Equal(t, "…"+strings.Repeat("𠮷", 33)+"…", r.texts("mizu")[0])
}

// TestReferenceComesRound: another message with the same reference begins anew, also where a segment is the same.
func TestReferenceComesRound(t *testing.T) {
	r := openRoom(t)
	first, second := split("0312345678", long, 7, '8'), split("0312345678", strings.TrimSuffix(long, "です。")+"ます？", 7, '8')
	r.bring(pdu.StatusOK, first...)
	r.now = r.now.Add(time.Second)
	r.bring(pdu.StatusOK, second[0]) // the same bytes as those of the first
	r.bring(pdu.StatusOK, second[1:]...)
	require.Equal(t, []string{strings.TrimSuffix(long, "です。") + "ます？", long}, r.texts("mizu"))

	third := split("0312345678", strings.Repeat("三", 230), 7, '8')
	r.now = r.now.Add(time.Second)
	r.bring(pdu.StatusOK, third[0])
	r.now = r.now.Add(time.Second)
	r.bring(pdu.StatusOK, first[0], first[1], first[2], first[3]) // what had begun will not be completed
	texts := r.texts("mizu")
	require.Len(t, texts, 4)
	require.Equal(t, strings.Repeat("三", 67)+"…", texts[1])
	require.Equal(t, long, texts[0])
}

// TestRepetitionByTheCarrierIsNotToldAgain: after a crash between commit and answer the carrier sends again what is there.
func TestRepetitionByTheCarrierIsNotToldAgain(t *testing.T) {
	r := openRoom(t)
	parts := split("0312345678", long, 9, 'w')
	r.bring(pdu.StatusOK, parts...)
	r.restart()
	r.bring(pdu.StatusOK, parts...)
	require.Equal(t, []string{long}, r.texts("mizu"))
	r.bring(pdu.StatusOK, parts[3])
	require.Equal(t, []string{"waiting [1 2 3]", long}, r.texts("mizu"))
	r.now = r.now.Add(joinFor)
	require.NoError(t, r.giveUp(t.Context()))
	require.Equal(t, []string{long}, r.texts("mizu"))
}

func TestHostilePartNumbersAreHarmless(t *testing.T) {
	r := openRoom(t)
	for _, udh := range [][]byte{{5, 0, 3, 1, 2, 3}, {5, 0, 3, 1, 0, 0}, {5, 0, 3, 1, 2, 0}, {6, 8, 4, 0, 1, 0, 1}, {5, 0, 3, 1, 1, 1}, {200}, {0}, {3, 0, 9, 1}} {
		p := sm("0312345678", "")
		p.ESMClass = pdu.ESMClassUDHI
		p.ShortMessage = append(slices.Clone(udh), 0x30, 0x42)
		r.bring(pdu.StatusOK, p)
	}
	for _, text := range r.texts("mizu") {
		require.NotContains(t, text, "waiting")
	}
	require.Len(t, r.texts("mizu"), 8)
	p := sm("0312345678", "")
	p.ESMClass, p.ShortMessage = pdu.ESMClassUDHI, append([]byte{5, 0, 3, 1, 255, 255}, 0x30, 0x42)
	r.bring(pdu.StatusOK, p)
	require.Len(t, r.texts("mizu"), 9)
	r.now = r.now.Add(joinFor)
	require.NoError(t, r.giveUp(t.Context()))
	require.Equal(t, "…あ", r.texts("mizu")[0])
}

func TestStopWordListsTheNumber(t *testing.T) {
	n, err := carrier.ParseNumber(phone)
	require.NoError(t, err)
	for text, stops := range map[string]bool{
		"STOP": true, " ｓｔｏｐ ！": true, "停止": true, "配信 停止。": true, "解除": true, "ｽﾄｯﾌﾟ": true, "ストップ\n": true, "いらない": true,
		"停止しないでください": false, "はい": false, "": false, "STOPPED": false, "。": false,
	} {
		r := openRoom(t)
		r.bring(pdu.StatusOK, sm("0312345678", text))
		for class, want := range map[message.Class]bool{message.Ad: stops, message.Billing: stops, message.OTP: false} {
			no, err := r.DoNotSend.Refuses(t.Context(), "mizu", class, n)
			require.NoError(t, err)
			require.Equal(t, want, no, "%q %s", text, class)
		}
		no, err := r.DoNotSend.Refuses(t.Context(), "gasu", message.Ad, n)
		require.NoError(t, err)
		require.False(t, no)
		all, _, err := r.List(t.Context(), "mizu", Query{Limit: 1})
		require.NoError(t, err)
		require.Equal(t, stops, all[0].Stop)
		require.NoError(t, r.Store.Close())
	}
}

// TestJapaneseStopIsHeededHoweverItIsWritten: carriers send JIS and Shift_JIS under data_coding 5.
func TestJapaneseStopIsHeededHoweverItIsWritten(t *testing.T) {
	const jis, sjis = "\x1b$BDd;_\x1b(B", "\x92\xe2\x8e\x7e"
	for _, c := range []struct {
		dc            byte
		payload, text string
		stops         bool
	}{
		{0x05, jis, "停止", true},
		{0x0A, jis, "停止", true},
		{0x05, sjis, "停止", true},
		{0x05, "STOP", "STOP", true},
		{0x0A, "STOP", "STOP", true},
		{0x05, "\x1b$BDd;_", "停止", true},      // not back in ASCII at its end
		{0x05, "\x1b$BDd;", "停\ufffd", false}, // damaged: shown as far as it can be read
		{0x0A, sjis, "\ufffd\ufffd\ufffd~", false},
	} {
		r := openRoom(t)
		p := sm("0312345678", "")
		p.DataCoding, p.ShortMessage = c.dc, []byte(c.payload)
		r.bring(pdu.StatusOK, p)
		all, _, err := r.List(t.Context(), "mizu", Query{Limit: 1})
		require.NoError(t, err)
		require.Equal(t, c.text, all[0].Text, "%x %q", c.dc, c.payload)
		require.Equal(t, c.stops, all[0].Stop, "%x %q", c.dc, c.payload)
		require.NoError(t, r.Store.Close())
	}
}

func TestStopWordsTwiceAtOnce(t *testing.T) {
	r := openRoom(t)
	one := split("0312345678", "ST"+strings.Repeat(" ", 70)+"OP", 3, '8')
	two := split("0312345678", "S"+strings.Repeat(" ", 70)+"TOP", 3, '8')
	r.bring(pdu.StatusOK, append(append(one, two...), sm("0312345678", "停止"), sm("0312345678", "解除"))...)
	require.Len(t, r.texts("mizu"), 4)
	n, err := carrier.ParseNumber(phone)
	require.NoError(t, err)
	e, err := r.DoNotSend.Find(t.Context(), "mizu", n)
	require.NoError(t, err)
	require.Equal(t, [2]string{"stop", "phone"}, [2]string{string(e.Reason), e.By})
}

func TestWhatCannotBeStoredIsAskedForAgain(t *testing.T) {
	r := openRoom(t)
	require.NoError(t, r.Store.Close())
	r.bring(pdu.StatusReceiverTemporaryError, sm("0312345678", "はい"))
	r.bring(pdu.StatusReceiverTemporaryError, split("0312345678", long, 1, '8')...)
}

func TestFullDiskIsToldAsFullQueue(t *testing.T) {
	r := openRoom(t)
	r.minFree = 1 << 62
	r.restart()
	r.bring(pdu.StatusMessageQueueFull, sm("0312345678", "はい"))
	r.bring(pdu.StatusMessageQueueFull, split("0312345678", long, 1, '8')...)
	r.minFree = 1
	r.restart()
	r.bring(pdu.StatusOK, sm("0312345678", "はい"))
	require.Equal(t, []string{"はい"}, r.texts("mizu"))
}

func TestRunEndsWhatIsDue(t *testing.T) {
	r := openRoom(t)
	r.bring(pdu.StatusOK, split("0312345678", long, 7, '8')[0])
	r.now = r.now.Add(joinFor)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- r.Run(ctx) }()
	news := make(chan struct{})
	require.ErrorContains(t, r.Store.Follow(t.Context(), "test", func(batch []store.Event, _ bool) error {
		if slices.ContainsFunc(batch, func(e store.Event) bool { return e.Ref.Kind == Kind && e.Type == Received }) {
			close(news)
			return context.Canceled
		}
		return nil
	}), "canceled")
	<-news
	cancel()
	require.NoError(t, <-done)
}

func TestReceivedMessageIsTold(t *testing.T) {
	r := openRoom(t)
	r.bring(pdu.StatusOK, split("0312345678", long, 7, '8')...)
	refs, err := r.Store.Search(t.Context(), tenant.Only("mizu"), store.Query{Kind: Kind, Limit: 10})
	require.NoError(t, err)
	events, err := r.Store.Load(t.Context(), tenant.Only("mizu"), refs[0])
	require.NoError(t, err)
	var src callback.Source = Notices{}
	for i := range events {
		told, err := src.Tell(events[:i+1])
		require.NoError(t, err)
		if i < len(events)-1 {
			require.Empty(t, told)
			require.Empty(t, src.May(events[i].Type))
			continue
		}
		require.Len(t, told, 1)
		require.Equal(t, []string{told[0].Type}, src.May(events[i].Type))
		for numbers, from := range map[bool]string{false: "090-****-0001", true: "+819000010001"} {
			data, err := told[0].Data(r.Store, &tenant.Callback{Numbers: numbers})
			require.NoError(t, err)
			require.Equal(t, NoticeData{ID: refs[0].ID, From: from, To: "0312345678", Carrier: "docomo", Text: long, Segments: 4}, data)
		}
	}
	webhook := []store.Event{{Ref: store.Ref{Tenant: "mizu", Kind: Kind, ID: ulid.Make()}, Type: 1, Data: []byte("{}")}}
	told, err := src.Tell(webhook)
	require.NoError(t, err)
	require.Empty(t, told, "a webhook of a payment agent")
}
