package admin

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kakitome/kakitome/engine/bind"
	"github.com/kakitome/kakitome/engine/bind/history"
	"github.com/kakitome/kakitome/engine/callback"
	"github.com/kakitome/kakitome/engine/campaign"
	"github.com/kakitome/kakitome/engine/carrier"
	"github.com/kakitome/kakitome/engine/inbound/donotsend"
	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/payment"
	"github.com/kakitome/kakitome/engine/tenant"
	"github.com/kakitome/kakitome/smpp/pdu"
	"github.com/kakitome/kakitome/smpp/session"
)

// The states that the gallery shows besides a day's messages: uploads in every phase, binds with a past, what phones say,
// callbacks.

// campaigns makes an upload in every phase and returns them by it.
func (r *room) campaigns() map[string]*campaign.State {
	r.t.Helper()
	ctx, mizu, by := context.Background(), tenant.Only("mizu"), "user:sender@mizu"
	all := map[string]*campaign.State{"staged": r.upload("mizu", "断水のお知らせ_11月.csv", sampleCSV)}
	released := func(name string) *campaign.State {
		st := r.upload("mizu", name, twoCarriersCSV)
		_, err := r.Campaigns.Release(ctx, mizu, st.ID, campaign.Release{By: by, Again: true})
		require.NoError(r.t, err)
		return r.until(st.ID, at(campaign.Done))
	}
	var err error
	all["stopped"] = r.stopped("停止した一括送信.csv", twoCarriersCSV)
	all["without"] = r.stopped("会社を除いた一括送信.csv", strings.ReplaceAll(twoCarriersCSV, "D-", "E-"))
	_, err = r.Campaigns.DropCarrier(ctx, mizu, all["without"].ID, by, "au")
	require.NoError(r.t, err)
	all["probing"] = r.probing("カナリア送信中の一括送信.csv", strings.ReplaceAll(twoCarriersCSV, "D-", "F-"))
	passed := r.probing("カナリア送信に成功した一括送信.csv", strings.ReplaceAll(twoCarriersCSV, "D-", "G-"))
	r.seedsEnd(passed, nil)
	all["passed"] = r.until(passed.ID, at(campaign.Done))
	all["paused"] = released("一時停止した一括送信.csv")
	_, err = r.Campaigns.Pause(ctx, mizu, all["paused"].ID, by)
	require.NoError(r.t, err)
	all["canceled"] = released("取り消した一括送信.csv")
	_, err = r.Campaigns.Cancel(ctx, mizu, all["canceled"].ID, by, "文面に誤りがあったため")
	require.NoError(r.t, err)
	all["dropped"] = r.upload("mizu", "破棄した一括送信.csv", twoCarriersCSV)
	_, err = r.Campaigns.Drop(ctx, mizu, all["dropped"].ID, by)
	require.NoError(r.t, err)
	all["failed"] = r.upload("mizu", "列名に誤りのある一括送信.csv", "tel,text\n090-0001-0101,断水のお知らせ\n")
	f := campaign.File{Name: "とても長い名前のファイル_令和8年度第3期水道料金のお知らせ_〇〇県〇〇市〇〇町_最終確認済み_修正版2.csv", Size: 3 << 20, Via: "console", By: by}
	f.Settings.Defaults.Class = "billing"
	all["receiving"], _, err = r.Campaigns.Begin(ctx, "mizu", f)
	require.NoError(r.t, err)
	_, err = r.Campaigns.Append(ctx, mizu, all["receiving"].ID, 0, strings.NewReader(strings.Repeat("to,text\n", 150_000)))
	require.NoError(r.t, err)
	return all
}

// curves is a bind with busy days, a gap, an outage and a carrier that throttles now and then.
func curves(i, of int, rec *history.Record) {
	at := float64(i) / float64(of)
	switch {
	case at > 0.30 && at < 0.34: // nothing was watched
		*rec = history.Record{At: rec.At}
		return
	case at > 0.55 && at < 0.58:
		rec.State = bind.Waiting
		return
	case at > 0.80 && at < 0.82:
		rec.State = bind.Held
		return
	}
	seconds := rec.Covered.Seconds()
	load := 110 + 70*math.Sin(at*13) + 25*math.Sin(at*71) + 9*math.Sin(float64(i)*2.3)
	rec.State, rec.Up = bind.Bound, rec.Covered
	if math.Abs(at-0.58) < 0.02 {
		rec.Up = rec.Covered * 3 / 4
	}
	rec.Submitted = uint32(load * seconds)
	rec.Answered = uint32(load * seconds * 0.995)
	rec.Receipts = uint32((load*0.86 + 12*math.Sin(at*29)) * seconds)
	rec.Window = history.Window{Sum: uint32(load / 12 * 10), Samples: 10, Peak: uint32(load / 6), Limit: 50}
	for k, share := range map[int]float64{12: 0.2, 13: 0.5, 14: 0.25, 17: 0.045, 20: 0.005 + 0.02*math.Max(0, math.Sin(at*19))} {
		rec.Latency[k] = uint32(load * seconds * share)
	}
	if i%9 == 4 {
		rec.Throttled = uint32(seconds * math.Max(0, math.Sin(at*13)))
		rec.Errors = []history.StatusCount{{Status: pdu.StatusThrottled, N: rec.Throttled}, {Status: pdu.Status(0x0B), N: uint32(seconds / 8)}}
		rec.InDoubt = uint32(i / 9 % 3)
	}
}

// phones makes messages of phones, and a do-not-send list.
func (r *room) phones() {
	r.t.Helper()
	const address = "0312345670"
	own := *r.tenant("mizu")
	own.Entry.On = true
	own.Senders = append(slices.Clone(own.Senders), tenant.SenderProfile{Name: "own", Addresses: map[string]string{"docomo": address, "au": address}})
	require.NoError(r.t, r.Directory.Apply(context.Background(), own))
	for i, text := range []string{
		"検針日を変更できますか", "STOP", "本日の断水は何時までですか。小さい子どもがいるため、早めに知りたいです。お手数ですが折り返しお電話をいただけますでしょうか。", "Thank you",
	} {
		sm := pdu.SM{Source: pdu.Address{TON: 1, Addr: fmt.Appendf(nil, "81900001%04d", 2001+i)}, Dest: pdu.Address{Addr: []byte(address)}, DataCoding: 8}
		for _, c := range text {
			sm.ShortMessage = append(sm.ShortMessage, byte(c>>8), byte(c))
		}
		r.Inbound.TakePhones(context.Background(), "docomo", "docomo-1", []session.Incoming{{Command: pdu.CmdDeliverSM, SM: sm}})
	}
	r.Inbound.TakePhones(context.Background(), "docomo", "docomo-1", []session.Incoming{{Command: pdu.CmdDeliverSM, SM: pdu.SM{ // the second half is on its way
		Source: pdu.Address{TON: 1, Addr: []byte("819000012009")}, Dest: pdu.Address{Addr: []byte(address)}, ESMClass: 0x40, ShortMessage: append([]byte{5, 0, 3, 7, 2, 1}, "Hello"...)}}})
	for number, reason := range map[string]donotsend.Reason{"090-0001-3001": donotsend.Request, "090-0002-3002": donotsend.WrongPerson} {
		n, err := carrier.ParseNumber(number)
		require.NoError(r.t, err)
		require.NoError(r.t, r.DoNotSend.Add(context.Background(), "mizu", []donotsend.Addition{{Number: n, Reason: reason, Note: "お客様窓口にお電話で申し出", By: "user:admin@mizu", At: time.Now()}})[0].Err)
	}
}

// notified makes callbacks: one that is taken, one whose receiver is down, one that is paused.
func (r *room) notified(ctx context.Context) {
	r.t.Helper()
	for name, url := range map[string]string{"erp": "https://erp.example.com/hook", "kanri": downURL, "keiri": "https://keiri.example.com/very/long/path/of/a/receiver/kakitome/notices"} {
		_, err := r.Callbacks.Put(ctx, "mizu", name, callback.Spec{URL: url, Events: []string{"message.delivered", "claim.*"}, Numbers: name == "erp"})
		require.NoError(r.t, err)
		_, err = r.Callbacks.Test(ctx, "mizu", name)
		require.NoError(r.t, err)
	}
	require.NoError(r.t, r.Callbacks.Pause(ctx, "mizu", "keiri", true))
	go func() { _ = r.Callbacks.Run(ctx) }()
	for range 6 { // as many as park a callback
		res := r.accept("mizu", message.ViaAPI, message.Draft{To: "090-0001-7777", Text: "断水のお知らせ", Class: "notice", Reference: fmt.Sprint("N-", time.Now().UnixNano())})[0]
		part := message.Submission{Part: 1, Attempt: 1, Carrier: "docomo", Bind: "docomo-1"}
		r.happen("mizu", res.ID, event(message.Submitting, part), event(message.Submitted, part), event(message.Delivered, message.Report{Part: 1, Carrier: "docomo", State: "DELIVRD"}))
	}
}

// money makes a payment by card of which a part went back, its receipts, and a file of the agent.
func (r *room) money(ids map[string]string) {
	r.t.Helper()
	ctx, mizu := context.Background(), r.tenant("mizu")
	msg, claim := r.byCard("W-2026-90001")
	ids["card"], ids["card claim"] = msg.String(), claim.String()
	for _, by := range []string{"payer", "user:admin@mizu"} {
		_, _, err := r.Payments.Receipt(ctx, mizu, claim, payment.ReceiptOptions{By: by})
		require.NoError(r.t, err)
	}
	_, err := r.Payments.Refund(ctx, mizu, "W-2026-90001", payment.RefundOptions{Yen: 1400, Act: message.Act{By: "user:admin@mizu", Reason: "二重請求のため"}})
	require.NoError(r.t, err)
	_, missed := r.begun("W-2026-90002", 12_800)
	short, a := r.begun("W-2026-90003", 7440)
	r.paid("mizu", short.String(), a, 7440)
	file := fmt.Sprintf("%s 12800\n%s 7040\n%s 980\n", missed.ID, a.ID, "01M80PYPYK9JPV5YF8YH5F691F")
	_, err = r.Payments.Report(ctx, mizu, payment.ReportFile{Agent: "sandbox", Name: "kakuho_20261122.csv", By: "user:admin@mizu", Body: []byte(file)})
	require.NoError(r.t, err)
}
