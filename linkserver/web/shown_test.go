package web

import (
	"context"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	pb "google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/plugins/proto"
)

func (m *modules) RefreshVoucher(_ context.Context, in *proto.RefreshVoucherRequest) (*proto.RefreshVoucherResponse, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.renewals++
	if m.fresh == nil {
		return &proto.RefreshVoucherResponse{Error: &proto.Error{Class: proto.ErrorClass_RATE_LIMITED}}, nil
	}
	p := m.payments[in.AttemptId]
	p.Voucher = m.fresh
	return &proto.RefreshVoucherResponse{Payment: pb.CloneOf(p)}, nil
}

// forAWhile is a barcode that may be shown until some time from now.
func forAWhile(w *world, barcode string, d time.Duration) *proto.Voucher {
	return &proto.Voucher{Barcode: barcode, ShownUntil: timestamppb.New(w.now().Add(d))}
}

const (
	firstBarcode  = "91908081030210019970007091753026123100074406"
	secondBarcode = "91908081030210019970007091753126123100074405"
)

func TestBarcodeIsDrawnWithinItsTimeAlone(t *testing.T) {
	w := newWorld(t, DefaultConfig())
	w.modules.voucher = forAWhile(w, firstBarcode, 10*time.Minute)
	m := w.send(draft{items: questions, claim: bill(w, "A-1"), page: message.Page{Title: "水道料金のお知らせ"}})
	b := w.opened(m)
	b.submit("identify", rightAnswers())
	b.submit("checkout", url.Values{"method": {"konbini_number"}})
	b.submit("pay", url.Values{"method": {"konbini_number"}, "store": {"cvs1"}})
	shows := func() string {
		for _, code := range []string{firstBarcode, secondBarcode} {
			if strings.Contains(strings.Map(func(r rune) rune {
				if r >= '0' && r <= '9' {
					return r
				}
				return -1
			}, b.shown.body), code[8:30]) {
				return code
			}
		}
		return ""
	}
	require.Equal(t, firstBarcode, shows())
	require.Contains(t, b.shown.body, "このバーコードの表示期限")
	require.NotContains(t, b.shown.body, "sheet.pdf", "paper cannot be drawn anew")
	require.Contains(t, b.shown.body, "<script>", "three minutes, as ever")

	w.pass(8 * time.Minute)
	b.submit("state", nil)
	after, _, _ := strings.Cut(b.shown.body[strings.Index(b.shown.body, "data-after=")+len(`data-after="`):], `"`)
	ms, err := strconv.Atoi(after)
	require.NoError(t, err)
	require.LessOrEqual(t, ms, 90_000, "before it ends")
	require.GreaterOrEqual(t, ms, 60_000)
	w.pass(90 * time.Second)
	w.modules.mu.Lock()
	w.modules.fresh = forAWhile(w, secondBarcode, 10*time.Minute)
	w.modules.mu.Unlock()
	require.Equal(t, 200, b.look().status)
	require.Equal(t, secondBarcode, shows())

	// Nobody looked for long: whoever comes back gets another one at once, or is told why not.
	w.modules.mu.Lock()
	w.modules.fresh = nil
	w.modules.mu.Unlock()
	w.pass(11 * time.Minute)
	b.get(w.path(m))
	require.Empty(t, shows())
	require.Contains(t, b.shown.body, "表示期限が過ぎました")
	require.Contains(t, b.shown.body, "最新の状態を見る")
	require.Contains(t, b.shown.body, `<script data-after="60000">`)
	before := w.modules.renewals
	for range 3 {
		b.submit("state", nil)
		b.get(w.path(m))
	}
	require.Equal(t, before, w.modules.renewals, "once a minute for each claim")
	w.modules.plain.Store(true)
	b.get(w.path(m) + "?lang=en")
	require.Contains(t, b.shown.body, "The time to show it is over.")
	w.modules.plain.Store(false)
	b.get(w.path(m) + "?lang=ja")
	w.modules.mu.Lock()
	w.modules.fresh = forAWhile(w, firstBarcode, 10*time.Minute)
	w.modules.mu.Unlock()
	w.pass(time.Minute)
	b.submit("state", nil)
	require.Equal(t, firstBarcode, shows())
}
